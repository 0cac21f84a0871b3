package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/validation"

	"sluice"
	"sluice/api"
	"sluice/internal/jsoninput"
)

// maxBody is the largest JSON body, in bytes.
const maxBody = 256 << 10

// Huma keeps its error model in variables of the process. Ours finds the
// server of each request in its context, so that any number of them may live
// side by side.
func init() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, _ ...error) huma.StatusError {
		return &api.Problem{Status: status, Detail: msg}
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		return callOf(ctx.Context()).problem(ctx.Context(), complaint(status, errs))
	}
}

func newAPI(s *Server) huma.API {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	for t, alias := range wireTypes {
		schemas.RegisterTypeAlias(t, alias)
	}
	return huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			Info:       &huma.Info{Title: "Sluice", Version: sluice.APIVersion},
			Components: &huma.Components{Schemas: schemas},
		},
		// "json" is what Huma looks up for application/problem+json.
		Formats:       map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat: "application/json",
		Transformers: []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
			c := callOf(ctx.Context())
			if c.encoded != nil {
				return c.encoded, nil
			}
			return c.downgrade(v)
		}},
	}, adapter{s})
}

// wireTypes says what types that read and write JSON in their own way are to
// Huma.
var wireTypes = map[reflect.Type]reflect.Type{
	reflect.TypeFor[api.Lifetime]():               reflect.TypeFor[lifetimeSchema](),
	reflect.TypeFor[api.Optional[api.Lifetime]](): reflect.TypeFor[lifetimeSchema](),
	reflect.TypeFor[api.Optional[int64]]():        reflect.TypeFor[*int64](),
	reflect.TypeFor[api.Optional[string]]():       reflect.TypeFor[*string](),
}

// lifetimeSchema is what api.Lifetime looks like.
type lifetimeSchema struct{}

func (lifetimeSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeInteger, Format: "int64", Nullable: true},
		{Type: huma.TypeString, Enum: []any{api.EndlessName}},
	}}
}

// adapter gives Huma's operations their place in our own chain of handlers.
type adapter struct{ *Server }

const routeKey = "route" // in the metadata of an operation

func (a adapter) Handle(op *huma.Operation, h func(huma.Context)) {
	a.handle(op.Metadata[routeKey].(route), true, func(w http.ResponseWriter, r *http.Request) {
		h(humago.NewContext(op, r, w))
	})
}

// body is the output of an operation whose answer has no headers of its own.
type body[T any] struct{ Body T }

// object is the output of an operation that answers with one object in a state.
type object[T any] struct {
	Status int
	ETag   string `header:"ETag" doc:"The state of the object, for If-Match and If-None-Match"`
	Body   T
}

// single answers with an object in the state that version names; with 304 when
// the caller has it already.
func single[T any](c *call, version string, v T) (*object[T], error) {
	data, err := c.encode(v)
	if err != nil {
		return nil, err
	}
	c.encoded = data
	tag := data.entityTag(version)
	out := &object[T]{Status: http.StatusOK, ETag: tag, Body: v}
	if c.unchanged(tag) {
		out.Status = http.StatusNotModified
	}
	return out, nil
}

// typed mounts an operation through Huma, which reads parameters and body by
// the type of in and checks them strictly.
func typed[I, O any](f func(ctx context.Context, c *call, in *I) (*O, error)) mount {
	return func(s *Server, rt route) {
		op := huma.Operation{
			OperationID: rt.operation, Method: rt.method, Path: rt.path,
			Tags: []string{docs[rt.operation].tag}, Summary: docs[rt.operation].summary, Description: docs[rt.operation].description,
			Parameters:   headerParams(rt),
			Responses:    textResponses(rt.operation),
			MaxBodyBytes: maxBody + 1, BodyReadTimeout: bodyTimeout,
			Middlewares: huma.Middlewares{strict},
			Metadata:    map[string]any{routeKey: rt},
		}
		huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
			c := callOf(ctx)
			out, err := f(ctx, c, in)
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			c.markReplayed()
			return out, nil
		})
	}
}

// strict refuses what Huma would let pass: parameters that are unknown, empty
// or given twice, and a body that says it is not JSON.
func strict(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	r.URL = callOf(r.Context()).upgradeQuery(r.URL)
	err := checkQuery(r.URL, ctx.Operation().Parameters)
	if err == nil && ctx.Operation().RequestBody != nil {
		err = checkContentType(r)
	}
	if err != nil {
		callOf(r.Context()).fail(w, r, err)
		return
	}
	next(ctx)
}

// receive reads the body of a JSON request when more must be known of it than
// Huma will tell: to recognise it when it comes again, to check its digest, or
// to read it as an earlier version of the API.
func (c *call) receive(r *http.Request) error {
	var v sluice.Invalid
	digests := promised(r.Header, &v)
	if c.caller.Once == nil && len(c.later()) == 0 && digests == nil && v.Err() == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return sluice.Wrap(sluice.CodeValidation, "the body broke off", err)
	}
	c.whole = true
	if once := c.caller.Once; once != nil {
		once.Fingerprint = c.server.svc.Fingerprint(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(data))
	}
	switch {
	case len(data) > maxBody:
		return sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", maxBody)
	case v.Err() != nil:
		return v.Err()
	case digests != nil:
		_, _ = digests.Write(data)
		if err := digests.check("Content-Digest"); err != nil {
			return err
		}
	}
	data = c.upgradeBody(data)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return nil
}

func checkQuery(u *url.URL, params []*huma.Param) error {
	if u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return sluice.Errorf(sluice.CodeValidation, "the query of the URL is malformed")
	}
	var v sluice.Invalid
	for _, name := range slices.Sorted(maps.Keys(query)) {
		i := slices.IndexFunc(params, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		switch values := query[name]; {
		case i < 0:
			v.Add(clean(name), "unknown", "there is no query parameter %q here", clean(name))
		case slices.Contains(values, ""):
			v.Add(name, "invalid", "%s has no value", name)
		case len(values) > 1 && params[i].Schema.Type != huma.TypeArray:
			v.Add(name, "invalid", "%s is given more than once", name)
		}
	}
	return v.Err()
}

// checkEncoding refuses bodies that are encoded: nothing here undoes that.
func checkEncoding(r *http.Request) error {
	for _, e := range r.Header.Values("Content-Encoding") {
		if e != "" && !strings.EqualFold(e, "identity") {
			return sluice.Errorf(sluice.CodeUnsupportedType, "the body has a Content-Encoding, which is not accepted here")
		}
	}
	return nil
}

// checkContentType admits JSON, and a request that says nothing of its type.
func checkContentType(r *http.Request) error {
	if err := checkEncoding(r); err != nil {
		return err
	}
	declared := r.Header.Get("Content-Type")
	if declared == "" || r.ContentLength == 0 {
		r.Header.Del("Content-Type")
		return nil
	}
	if t, _, err := mime.ParseMediaType(declared); err != nil || t != "application/json" {
		return sluice.Errorf(sluice.CodeUnsupportedType, "the body must be application/json")
	}
	r.Header.Set("Content-Type", "application/json")
	return nil
}

// encoded is a JSON document.
type encoded []byte

// encode gives an answer as it goes out.
func (c *call) encode(v any) (encoded, error) {
	shown, err := c.downgrade(v)
	if err != nil {
		return nil, err
	}
	return encode(shown)
}

// encode writes JSON. Markup is not escaped: no answer is HTML.
func encode(v any) (encoded, error) {
	if done, ok := v.(encoded); ok {
		return done, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// jsonFormat reads and writes JSON.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		data, err := encode(v)
		if err != nil {
			return err
		}
		_, _ = w.Write(data)
		return nil
	},
	Unmarshal: func(data []byte, v any) error {
		if !utf8.Valid(data) {
			return errors.New("the body is not UTF-8")
		}
		faults := jsoninput.CheckJSON(data)
		plain, tooLarge := jsoninput.PlainIntegers(data)
		if faults = append(faults, tooLarge...); len(faults) > 0 {
			return jsonFaults(faults)
		}
		err := json.Unmarshal(plain, v)
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) {
			// Members of an embedded struct bear its name.
			return errors.New(misfit + mistyped.Field[strings.LastIndexByte(mistyped.Field, '.')+1:])
		}
		if err != nil {
			return errors.New("the body is not JSON: " + err.Error())
		}
		return nil
	},
}

// jsonFaults is what makes a JSON document ambiguous or unreadable, as an error
// whose text holds all of it: Huma keeps nothing of an error but its text.
type jsonFaults []sluice.FieldError

const jsonFaultsMark = "faults: "

func (f jsonFaults) Error() string {
	list := slices.Clone(f[:min(len(f), maxComplaints)])
	for i := range list {
		list[i].Param, list[i].Message = clean(list[i].Param), strings.Replace(list[i].Message, list[i].Param, clean(list[i].Param), 1)
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // they are texts
	}
	return jsonFaultsMark + string(text)
}

// misfit begins the message of a number that JSON knows and a member does not,
// such as 1.5: Huma keeps nothing of an error but its text.
const misfit = "does not fit: "

// maxComplaints bounds how many failures of one request are listed.
const maxComplaints = 50

// complaint turns what Huma finds wrong with a request into our error.
func complaint(status int, errs []error) error {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", maxBody)
	case http.StatusRequestTimeout:
		return sluice.Errorf(sluice.CodeValidation, "the body did not arrive within %d seconds", int(bodyTimeout.Seconds()))
	case http.StatusInternalServerError:
		return sluice.Wrap(sluice.CodeValidation, "the body broke off", errors.Join(errs...))
	}
	var found []sluice.FieldError
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			found = append(found, fieldErrors(d)...)
		}
	}
	if len(found) == 0 {
		return sluice.Errorf(sluice.CodeValidation, "a body is required")
	}
	slices.SortStableFunc(found, func(a, b sluice.FieldError) int { return strings.Compare(a.Param, b.Param) })
	var v sluice.Invalid
	for _, f := range found[:min(len(found), maxComplaints)] {
		v.Add(f.Param, f.Code, "%s", f.Message)
	}
	return v.Err()
}

// fieldErrors rewrites one of Huma's findings, which may stand for many.
func fieldErrors(d *huma.ErrorDetail) (list []sluice.FieldError) {
	text, found := strings.CutPrefix(d.Message, jsonFaultsMark)
	if !found || json.Unmarshal([]byte(text), &list) != nil {
		return []sluice.FieldError{fieldError(d)}
	}
	return list
}

// fieldError rewrites one of Huma's findings. The offending value is left out:
// it may be a secret.
func fieldError(d *huma.ErrorDetail) sluice.FieldError {
	_, param, _ := strings.Cut(d.Location, ".")
	e := sluice.FieldError{Param: clean(param), Code: "invalid", Message: d.Message}
	switch {
	case d.Message == validation.MsgUnexpectedProperty:
		e.Code, e.Message = "unknown", fmt.Sprintf("there is no member %q here", e.Param)
	case strings.HasPrefix(d.Message, "expected required property "):
		e.Param, e.Code = strings.Fields(d.Message)[3], "required"
		e.Message = e.Param + " is required"
	case strings.HasPrefix(d.Message, misfit):
		e.Param = strings.TrimPrefix(d.Message, misfit)
		e.Message = e.Param + " must be an integer"
	case strings.HasPrefix(d.Location, "body.") && wanted[d.Message] != "":
		e.Message = e.Param + " must be " + wanted[d.Message] + ", not " + kindOf(d.Value)
	case strings.HasPrefix(d.Message, "expected number "): // >= or <=
		e.Code, e.Message = "out_of_range", e.Param+": "+d.Message
	case e.Param != "":
		e.Message = e.Param + ": " + d.Message
	}
	return e
}

// wanted names what Huma expected of a member of a body, by its message.
var wanted = map[string]string{
	validation.MsgExpectedMatchExactlyOneSchema: `a whole number of seconds or "` + api.EndlessName + `"`, // api.Lifetime
	validation.MsgExpectedInteger:               "an integer",
	validation.MsgExpectedString:                "a string",
	validation.MsgExpectedBoolean:               "a boolean",
	validation.MsgExpectedArray:                 "an array",
	validation.MsgExpectedObject:                "an object",
}

// kindOf names the kind of a decoded JSON value.
func kindOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case float64:
		if value != math.Trunc(value) {
			return "a fraction"
		}
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}
