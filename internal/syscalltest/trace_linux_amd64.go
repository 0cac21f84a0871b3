package syscalltest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// Call is a system call of a command about a file below a folder. Calls of one Name and one Path are numbered in the
// order in which they begin, from 0.
type Call struct {
	Name string // such as "openat"
	Path string // below the folder, as the caller of Trace has simplified it
	N    int
}

func (c Call) String() string { return fmt.Sprintf("%s %s %d", c.Name, c.Path, c.N) }

// Fault says how a call fails.
type Fault struct {
	Errno   syscall.Errno
	Applied bool // the system does what the call asks for, and says that it has failed
}

// Tracing is a command to run, and what to look at.
type Tracing struct {
	Cmd   *exec.Cmd // its standard output and error must be files or nil
	Below string    // the folder whose files the calls are about
	// Simplify gives one name to paths that differ from run to run. It gets the part below the folder.
	Simplify func(path string) string

	Fail Call // fails unless its Name is empty
	How  Fault
}

// Result is how a traced command ended.
type Result struct {
	Calls  []Call // in the order in which they began
	Failed bool   // the call to fail was made
	Code   int    // exit code; -1 when a signal ended the command
}

// stops of PTRACE_GET_SYSCALL_INFO, ptrace(2)
const (
	getSyscallInfo = 0x420e
	stopEntry      = 1
	traceSysGood   = 0x80 // of the signal of a stop at a system call
	waitNoThread   = 0x20000000
)

// syscallInfo is the beginning of struct ptrace_syscall_info.
type syscallInfo struct {
	op   uint8
	_    [7]byte
	_    [2]uint64 // instruction and stack pointer
	nr   uint64
	args [6]uint64
}

// Run runs the command to its end. A system call that the tables do not know is an error, so that no call about a file
// is passed over.
func (t Tracing) Run() (Result, error) {
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome)
	go func() { // only the thread that began to trace may go on; it ends with the goroutine
		runtime.LockOSThread()
		tr := &tracer{Tracing: t, counts: map[Call]int{}, threads: map[int]*thread{}}
		err := tr.run()
		done <- outcome{tr.result, err}
	}()
	o := <-done
	return o.Result, o.error
}

// thread is a thread of the command.
type thread struct {
	fails bool // the system call that it is in
	begun bool // its first stop is over
}

type tracer struct {
	Tracing
	result  Result
	counts  map[Call]int
	threads map[int]*thread
}

func (t *tracer) run() error {
	t.Cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := t.Cmd.Start(); err != nil {
		return err
	}
	leader := t.Cmd.Process.Pid
	defer t.Cmd.Process.Release()
	defer func() {
		if len(t.threads) > 0 {
			syscall.Kill(leader, syscall.SIGKILL)
		}
	}()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(leader, &status, 0, nil); err != nil {
		return err
	}
	const exitKill = 0x100000 // PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(leader, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|
		syscall.PTRACE_O_TRACEFORK|syscall.PTRACE_O_TRACEVFORK|syscall.PTRACE_O_TRACEEXEC|exitKill); err != nil {
		return err
	}
	t.threads[leader] = &thread{begun: true}
	if err := syscall.PtraceSyscall(leader, 0); err != nil {
		return err
	}
	for len(t.threads) > 0 {
		tid, err := syscall.Wait4(-1, &status, syscall.WALL|waitNoThread, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if status.Exited() || status.Signaled() {
			delete(t.threads, tid)
			if tid == leader {
				t.result.Code = status.ExitStatus()
			}
			continue
		}
		signal, err := t.stopped(tid, status)
		if err != nil {
			return err
		}
		if err := syscall.PtraceSyscall(tid, int(signal)); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// stopped handles a stop of a thread, and returns the signal to go on with.
func (t *tracer) stopped(tid int, status syscall.WaitStatus) (syscall.Signal, error) {
	th := t.threads[tid]
	if th == nil {
		th = &thread{}
		t.threads[tid] = th
	}
	signal := status.StopSignal()
	switch {
	case signal == syscall.SIGTRAP|traceSysGood:
		return 0, t.atCall(tid, th)
	case status.TrapCause() > 0:
		return 0, nil // a clone or an exec
	case signal == syscall.SIGSTOP && !th.begun:
		th.begun = true
		return 0, nil
	}
	return signal, nil
}

// atCall handles the beginning or the end of a system call.
func (t *tracer) atCall(tid int, th *thread) error {
	var info syscallInfo
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno == syscall.ESRCH {
		return nil // it was killed
	}
	if errno != 0 {
		return fmt.Errorf("look at a system call: %w", errno)
	}
	if info.op != stopEntry {
		fails := th.fails
		th.fails = false
		if !fails {
			return nil
		}
		return changeRegisters(tid, func(r *syscall.PtraceRegs) { r.Rax = -uint64(t.How.Errno) })
	}
	call, about, err := t.call(tid, info)
	if err != nil || !about {
		return err
	}
	kind := Call{Name: call.Name, Path: call.Path}
	call.N = t.counts[kind]
	t.counts[kind]++
	t.result.Calls = append(t.result.Calls, call)
	if call != t.Fail {
		return nil
	}
	t.result.Failed, th.fails = true, true
	if t.How.Applied {
		return nil
	}
	return changeRegisters(tid, func(r *syscall.PtraceRegs) { r.Orig_rax = ^uint64(0) })
}

func changeRegisters(tid int, change func(*syscall.PtraceRegs)) error {
	var r syscall.PtraceRegs
	err := syscall.PtraceGetRegs(tid, &r)
	if err == nil {
		change(&r)
		err = syscall.PtraceSetRegs(tid, &r)
	}
	return err
}

// call names a system call, and reports whether it is about a file below the folder.
func (t *tracer) call(tid int, info syscallInfo) (c Call, about bool, err error) {
	if others[info.nr] {
		return c, false, nil
	}
	known, ok := calls[info.nr]
	if !ok {
		return c, false, fmt.Errorf("system call %d is in no table: is it about files?", info.nr)
	}
	if info.nr == syscall.SYS_FCNTL && (info.args[1] == getFlags || info.args[1] == setFlags) {
		return c, false, nil
	}
	var path string
	switch {
	case known.path == none:
		path = t.opened(tid, info.args[known.fd])
	default:
		if path, err = t.text(tid, info.args[known.path]); err != nil {
			return c, false, err
		}
		if !strings.HasPrefix(path, "/") && known.fd != none {
			path = t.opened(tid, info.args[known.fd]) + "/" + path
		}
	}
	rest, about := strings.CutPrefix(path, t.Below)
	if !about || rest != "" && rest[0] != '/' {
		return c, false, nil
	}
	rest = strings.TrimSuffix(strings.TrimPrefix(rest, "/"), " (deleted)")
	return Call{Name: known.name, Path: t.Simplify(rest)}, true, nil
}

// opened gives the path of an open file, "" for a number that is none.
func (t *tracer) opened(tid int, fd uint64) string {
	if int32(fd) < 0 {
		return ""
	}
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(fd)))
	return path
}

// text reads a string of the command.
func (t *tracer) text(tid int, at uint64) (string, error) {
	var all []byte
	for len(all) < syscall.PathMax {
		var word [8]byte
		if _, err := syscall.PtracePeekData(tid, uintptr(at)+uintptr(len(all)), word[:]); err != nil {
			if errors.Is(err, syscall.ESRCH) || at == 0 {
				return "", nil
			}
			return "", fmt.Errorf("read the path of a system call: %w", err)
		}
		if end := strings.IndexByte(string(word[:]), 0); end >= 0 {
			return string(append(all, word[:end]...)), nil
		}
		all = append(all, word[:]...)
	}
	return string(all), nil
}

// changing are the calls that change files or make them durable.
var changing = []string{"write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate",
	"copy_file_range", "sendfile", "mkdir", "mkdirat", "link", "linkat", "rename", "renameat", "renameat2", "unlink",
	"unlinkat"}

// Long has tests fail all calls.
var Long = os.Getenv("SLUICE_LONG") != ""

// Skip reports whether a test leaves out a fault. No test has a call fail whose effect would outlast the failure as a
// descriptor or a lock, and a disk is full only for calls that need room. Unless Long, a test fails the first
// call of each Name and Path that changes something, before it has an effect.
func Skip(c Call, how Fault) bool {
	changes := slices.Contains(changing, c.Name)
	switch {
	case !Long:
		return how != Fault{Errno: syscall.EIO} || c.N > 0 || !changes
	case c.Name == "close":
		return !how.Applied // Linux closes a file even if it says that it failed: close(2)
	case how.Applied:
		return !changes
	case how.Errno == syscall.ENOSPC:
		return !changes && c.Name != "openat"
	}
	return false
}
