package client

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
)

// page fetches one page of a list.
func page[T any](ctx context.Context, c *Client, path string, query any) (api.List[T], error) {
	return get[api.List[T]](ctx, c, "list", path, values(query))
}

// all iterates over the objects of all pages, starting with the given one.
func all[T any](from api.Page, fetch func(api.Page) (api.List[T], error), id func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		next := from
		if next.Limit == 0 {
			next.Limit = sluice.MaxPageSize
		}
		cursor := &next.After
		if next.Before != "" {
			cursor = &next.Before
		}
		for {
			list, err := fetch(next)
			if err == nil && cursor == &next.Before {
				slices.Reverse(list.Data)
			}
			for _, object := range list.Data {
				if !yield(object, nil) {
					return
				}
			}
			if err == nil && list.HasMore {
				err = advance(cursor, list.Data, id)
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if !list.HasMore {
				return
			}
		}
	}
}

// advance moves the cursor to the last object of a page. A page that does not move it is an error, because iteration
// would never end.
func advance[T any](cursor *string, data []T, id func(T) string) error {
	last := ""
	if len(data) > 0 {
		last = id(data[len(data)-1])
	}
	if last == "" || last == *cursor {
		return fmt.Errorf("%w: a page has more objects to follow, but no new cursor", ErrProtocol)
	}
	*cursor = last
	return nil
}

// values returns the parameters of a query, named by the tags of its fields.
func values(query any) url.Values {
	out := url.Values{}
	addValues(out, reflect.ValueOf(query))
	return out
}

func addValues(out url.Values, query reflect.Value) {
	for i := range query.NumField() {
		field, value := query.Type().Field(i), query.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("query"), ",")
		switch {
		case field.Anonymous:
			addValues(out, value)
		case value.IsZero():
		case field.Type.Kind() == reflect.Slice:
			for i := range value.Len() {
				out.Add(name, value.Index(i).String())
			}
		case field.Type.Kind() == reflect.Int:
			out.Set(name, strconv.FormatInt(value.Int(), 10))
		default:
			out.Set(name, value.String())
		}
	}
}
