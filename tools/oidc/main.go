// Command oidc is an OpenID Connect provider for tests: the example server of github.com/zitadel/oidc, with groups. It
// knows one client on loopback and the people of a file, which it reads again at each sign-in.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9998", "address to listen on")
	people := flag.String("people", "", "JSON file of the people, by id")
	flag.Parse()
	slog.SetLogLoggerLevel(slog.LevelWarn)
	issuer := "http://" + *listen + "/"
	storage.RegisterClients(storage.WebClient("sluice", "secret"))
	users := fileUsers(*people)
	handler := exampleop.SetupServer(issuer, &withGroups{storage.NewStorage(users), users},
		slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), false)
	log.Fatal(http.ListenAndServe(*listen, handler))
}

// person is one person of the file.
type person struct {
	storage.User
	Claims map[string]any // further claims, such as groups
}

// fileUsers is the name of the file with the people.
type fileUsers string

func (f fileUsers) all() map[string]*person {
	data, err := os.ReadFile(string(f))
	if err != nil {
		log.Print(err)
		return nil
	}
	people := map[string]*person{}
	if err := json.Unmarshal(data, &people); err != nil {
		log.Print(err)
	}
	return people
}

func (f fileUsers) GetUserByID(id string) *storage.User {
	if p := f.all()[id]; p != nil {
		return &p.User
	}
	return nil
}

func (f fileUsers) GetUserByUsername(name string) *storage.User {
	for _, p := range f.all() {
		if p.Username == name {
			return &p.User
		}
	}
	return nil
}

func (f fileUsers) ExampleClientID() string { return "service" }

// onLoopback is a client that browsers may be sent back to at any port of loopback.
type onLoopback struct{ op.Client }

func (onLoopback) RedirectURIGlobs() []string {
	return []string{"http://127.0.0.1:*/console/signin/callback"}
}

func (onLoopback) PostLogoutRedirectURIGlobs() []string { return nil }

func (s *withGroups) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return onLoopback{c}, err
}

// withGroups adds the further claims of people to what the provider says of them.
type withGroups struct {
	*storage.Storage
	users fileUsers
}

func (s *withGroups) SetUserinfoFromRequest(
	ctx context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string,
) error {
	if err := s.Storage.SetUserinfoFromRequest(ctx, info, r, scopes); err != nil {
		return err
	}
	s.add(info, r.GetSubject())
	return nil
}

func (s *withGroups) SetUserinfoFromToken(
	ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string,
) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin); err != nil {
		return err
	}
	s.add(info, subject)
	return nil
}

func (s *withGroups) add(info *oidc.UserInfo, subject string) {
	if p := s.users.all()[subject]; p != nil {
		for name, value := range p.Claims {
			info.AppendClaims(name, value)
		}
	}
}
