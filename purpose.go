package sluice

import (
	"fmt"
	"maps"
	"mime"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Purpose says what a file is for and which rules apply to it.
type Purpose struct {
	Name            string        // 1 to 40 of a-z, 0-9 and _, beginning with a letter
	Title           string        // for people
	Types           []string      // allowed media types; empty: any
	MaxSize         int64         // in bytes
	Retention       time.Duration // how long a file is kept before it is deleted; zero: until its owner deletes it
	Linkable        bool          // whether links to its files may be minted
	MaxLinkLifetime time.Duration // longest lifetime of links to its files; zero: no limit beyond server and key
	Require         []Requirement // what a link to its files must have
	Page            PagePolicy    // of links that are minted without one
	// Personal are the names of its files and of their links that the log shows as
	// commitments, so that they can be erased: a subset of NameFields. It applies to
	// files that are uploaded from then on.
	Personal []PersonalField
}

// Requirement is what a purpose demands of links to its files. It applies when a
// link is minted or changed.
type Requirement string

// The requirements.
const (
	RequireRecipient    Requirement = "recipient"    // a recipient or allowed recipients
	RequireVerification Requirement = "verification" // recipients prove their address
	RequireReason       Requirement = "reason"
	RequireTerms        Requirement = "terms"
)

var requirements = []Requirement{RequireRecipient, RequireVerification, RequireReason, RequireTerms}

// Requires reports whether links to files of this purpose must have something.
func (p Purpose) Requires(r Requirement) bool { return slices.Contains(p.Require, r) }

// Allows reports whether a file of this purpose may have the media type.
// Parameters of the media type are ignored.
func (p Purpose) Allows(mediaType string) bool {
	t, _, _ := strings.Cut(mediaType, ";")
	return len(p.Types) == 0 || slices.Contains(p.Types, strings.TrimSpace(t))
}

// MaxFileSize is the largest MaxSize of a purpose, in bytes: 1 TiB.
const MaxFileSize int64 = 1 << 40

// Purposes holds the purposes of an installation by name.
type Purposes map[string]Purpose

var purposeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// NewPurposes returns the set of the purposes in list. It is an error if the
// list is empty, a name occurs twice, or a purpose has an invalid field.
func NewPurposes(list []Purpose) (Purposes, error) {
	set := Purposes{}
	for _, p := range list {
		_, taken := set[p.Name]
		switch {
		case !purposeName.MatchString(p.Name):
			return nil, fmt.Errorf("purpose %q: a name has 1 to 40 of a-z 0-9 _ and begins with a letter", p.Name)
		case taken:
			return nil, fmt.Errorf("purpose %s is defined twice", p.Name)
		case p.MaxSize < 1 || p.MaxSize > MaxFileSize:
			return nil, fmt.Errorf("purpose %s: max size must be 1 to %d bytes", p.Name, MaxFileSize)
		case slices.ContainsFunc(p.Types, func(t string) bool { return !isMediaType(t) }):
			return nil, fmt.Errorf("purpose %s: %q: a type must be a media type like application/pdf", p.Name, p.Types)
		case p.Retention < 0 || p.MaxLinkLifetime < 0:
			return nil, fmt.Errorf("purpose %s: durations must not be negative", p.Name)
		case slices.ContainsFunc(p.Require, func(r Requirement) bool { return !slices.Contains(requirements, r) }):
			return nil, fmt.Errorf("purpose %s: require has recipient, verification, reason or terms, not %q",
				p.Name, p.Require)
		case slices.ContainsFunc(p.Personal, func(f PersonalField) bool { return !slices.Contains(nameFields, f) }):
			return nil, fmt.Errorf("purpose %s: personal has filename, linked_resources, metadata, reason or title, not %q",
				p.Name, p.Personal)
		case !p.Page.Valid():
			return nil, fmt.Errorf("purpose %s: page is auto, always or never, not %q", p.Name, p.Page)
		}
		p.Personal = slices.Compact(slices.Sorted(slices.Values(p.Personal)))
		set[p.Name] = p
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("no purposes are defined")
	}
	return set, nil
}

func isMediaType(t string) bool {
	parsed, params, err := mime.ParseMediaType(t)
	return err == nil && parsed == t && len(params) == 0 && strings.Contains(t, "/")
}

// List returns the purposes sorted by name.
func (s Purposes) List() []Purpose {
	return slices.SortedFunc(maps.Values(s), func(a, b Purpose) int { return strings.Compare(a.Name, b.Name) })
}

// Names returns the sorted names, separated by commas, for use in a message.
func (s Purposes) Names() string { return strings.Join(slices.Sorted(maps.Keys(s)), ", ") }

const mib, gib = 1 << 20, 1 << 30

// DefaultPurposes returns the purposes of an installation that configures none:
// Sluice's own, and those of the vendors whose APIs Sluice serves. The vendors'
// purposes keep their names, so that clients read back the name they sent.
func DefaultPurposes() Purposes {
	documents := []string{"application/pdf", "image/jpeg", "image/png"}
	set, err := NewPurposes(append(vendorPurposes(), []Purpose{
		{Name: "attachment", Title: "Attachment", MaxSize: 5 * gib, Linkable: true},
		{Name: "invoice", Title: "Invoice", MaxSize: 100 * mib, Linkable: true},
		{Name: "tax_document", Title: "Tax document", MaxSize: 100 * mib, Linkable: true},
		{Name: "signed_agreement", Title: "Signed agreement", MaxSize: 100 * mib, Linkable: true},
		{Name: "report", Title: "Report", MaxSize: 5 * gib, Linkable: true},
		{
			Name: "identity_document", Title: "Identity document", MaxSize: 50 * mib, Types: documents, Linkable: true,
			MaxLinkLifetime: time.Hour,
		},
		{Name: "evidence", Title: "Evidence", MaxSize: 5 * gib, Linkable: true},
		{
			Name: "logo", Title: "Logo", MaxSize: 10 * mib, Linkable: true,
			Types: []string{"image/gif", "image/jpeg", "image/png", "image/svg+xml", "image/webp"},
		},
		{Name: "import", Title: "Import", MaxSize: 50 * gib},
		{Name: "export", Title: "Export", MaxSize: 50 * gib, Linkable: true},
		{Name: "generic", Title: "Generic", MaxSize: 50 * gib, Linkable: true},
	}...))
	if err != nil {
		panic(err)
	}
	return set
}

// vendorPurposes returns the purposes that the clients of vendors use.
func vendorPurposes() (list []Purpose) {
	pictures := []string{"image/gif", "image/jpeg", "image/png", "image/webp"}
	for name, title := range map[string]string{
		// Metorial
		"user_image":         "User image",
		"organization_image": "Organization image",
		// Digital River
		"tax_document_customer_upload": "Tax document of a customer",
		"customer_invoice":             "Customer invoice",
		"customer_credit_memo":         "Customer credit memo",
		// Stripe
		"account_requirement":                 "Account requirement",
		"additional_verification":             "Additional verification",
		"business_icon":                       "Business icon",
		"business_logo":                       "Business logo",
		"customer_signature":                  "Customer signature",
		"dispute_evidence":                    "Dispute evidence",
		"document_provider_identity_document": "Identity document by a provider",
		"finance_report_run":                  "Finance report",
		"financial_account_statement":         "Statement of a financial account",
		"identity_document_downloadable":      "Identity document, downloadable",
		"issuing_regulatory_reporting":        "Regulatory report of an issuer",
		"pci_document":                        "PCI document",
		"platform_terms_of_service":           "Terms of service",
		"selfie":                              "Selfie",
		"sigma_scheduled_query":               "Result of a scheduled query",
		"tax_document_user_upload":            "Uploaded tax document",
		"terminal_android_apk":                "App of a card reader",
		"terminal_reader_splashscreen":        "Splash screen of a card reader",
	} {
		p := Purpose{Name: name, Title: title, MaxSize: 100 * mib, Linkable: true}
		switch name {
		case "user_image", "organization_image", "business_icon", "business_logo", "terminal_reader_splashscreen":
			p.Types, p.MaxSize = pictures, 10*mib
		}
		list = append(list, p)
	}
	return list
}
