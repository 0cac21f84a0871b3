package pages

import (
	"net/http"
	"time"
)

// Step is what the page of a link asks for next.
type Step string

// The steps. Each has a form that is sent to the address of the page by POST. Its field step says which form it is:
// StepAddress sends "send", with email if the page asks for an address; StepCode sends "verify", with code;
// StepDownload and StepDownloaded send "download", with terms ("accepted") if there are some. StepDownloaded adds
// again=1. Every form has password if the page asks for it.
const (
	StepAddress    Step = "address"    // the recipient's address must be proved
	StepCode       Step = "code"       // a code was sent
	StepDownload   Step = "download"   // the file can be downloaded
	StepDownloaded Step = "downloaded" // the file was downloaded by this browser
)

// Problem is what was wrong with the form that was sent.
type Problem string

// The problems. The page shows them at the field that they are about.
const (
	WrongPassword    Problem = "wrong_password"
	WrongAddress     Problem = "wrong_address" // it is not an e-mail address
	WrongCode        Problem = "wrong_code"
	TermsNotAccepted Problem = "terms_not_accepted"
)

// Text names the text that tells of the problem.
func (p Problem) Text() string { return string(p) }

// Link is what the page of a link shows.
type Link struct {
	Step           Step
	Name           string // of the file, as package presentation gives it
	Size           int64
	Until          time.Time // when the link expires; zero for never
	Now            time.Time // for the distance to Until; zero shows none
	Left           int64     // downloads left; -1 if there is no limit
	From           string    // the name of the sender, "" for none
	Message, Terms string    // of the sender; "" for none
	Recipient      string    // the address that gets the code, with its middle hidden; "" if the page asks for one
	Password       bool      // whether the page asks for the password of the link, in any step
	Problem        Problem   // "" for none
	Downloaded     time.Time // when the file was downloaded, with StepDownloaded
}

// AddressStep is the query that shows StepAddress again when the browser waits for a code: the page of StepCode links
// to it, so that a person can request another code, or give another address.
const AddressStep = "step=address"

// Link answers with the page of a link. lang is the language of the link; "" leaves it to the browser.
func (s *Site) Link(w http.ResponseWriter, r *http.Request, status int, lang string, l Link) {
	v := view{Language: language(r, lang), Title: l.Name, Page: l}
	if l.Problem != "" {
		v.Title = v.T("error_title", "title", l.Name)
	}
	s.show(w, r, status, "link", v)
}

// Limited reports whether the downloads of the link are limited.
func (l Link) Limited() bool { return l.Left >= 0 }

// Expires reports whether the link expires.
func (l Link) Expires() bool { return !l.Until.IsZero() }

// ShowsDistance reports whether the page says how long the link still works.
func (l Link) ShowsDistance() bool { return !l.Now.IsZero() && l.Until.After(l.Now) }

// Distance is how long the link still works.
func (l Link) Distance() time.Duration { return l.Until.Sub(l.Now) }

// Machine is the end of the link in the form of HTML.
func (l Link) Machine() string { return l.Until.UTC().Format(time.RFC3339) }

// Ended reports whether the file can not be downloaded again.
func (l Link) Ended() bool { return l.Step == StepDownloaded && l.Left == 0 }
