// Package syscalltest runs a command and has one of its system calls fail, for tests. It works on Linux on amd64, where
// the caller may trace processes.
//
// It traces the command with ptrace, as strace does. strace counts the calls of each thread apart, and the threads of a
// Go program take turns by chance; here the calls of all threads are counted together, so that each is failed once.
package syscalltest
