// Package tests is the root of a module for tests with large dependencies, such as a browser driver and another
// implementation of Merkle trees. The module of the product does not depend on them.
package tests
