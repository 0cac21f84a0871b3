// Package stripego tests a Sluice server with Stripe's Go library. It is a separate
// module, so that the product does not depend on the library.
package stripego
