// Package tests is the root of a module for tests that need large libraries of their own, so that the module of the
// product asks for none of them: a browser, and another implementation of the log's tree.
package tests
