// Package stripego holds Stripe's own Go library against a Sluice server: see
// its tests. It is a module of its own, so that the product does not depend on
// the library.
package stripego
