package syscalltest

import "syscall"

// form says which arguments of a system call name a file: an open one, or a path, which may be below an open folder.
type form struct {
	name     string
	fd, path int
}

const none = -1

// calls are the system calls about files.
var calls = map[uint64]form{
	syscall.SYS_READ:            {"read", 0, none},
	syscall.SYS_WRITE:           {"write", 0, none},
	syscall.SYS_PREAD64:         {"pread64", 0, none},
	syscall.SYS_PWRITE64:        {"pwrite64", 0, none},
	syscall.SYS_READV:           {"readv", 0, none},
	syscall.SYS_WRITEV:          {"writev", 0, none},
	syscall.SYS_CLOSE:           {"close", 0, none},
	syscall.SYS_FSTAT:           {"fstat", 0, none},
	syscall.SYS_LSEEK:           {"lseek", 0, none},
	syscall.SYS_MMAP:            {"mmap", 4, none},
	syscall.SYS_IOCTL:           {"ioctl", 0, none},
	syscall.SYS_FCNTL:           {"fcntl", 0, none},
	syscall.SYS_FLOCK:           {"flock", 0, none},
	syscall.SYS_FSYNC:           {"fsync", 0, none},
	syscall.SYS_FDATASYNC:       {"fdatasync", 0, none},
	syscall.SYS_FTRUNCATE:       {"ftruncate", 0, none},
	syscall.SYS_GETDENTS64:      {"getdents64", 0, none},
	syscall.SYS_FCHMOD:          {"fchmod", 0, none},
	syscall.SYS_FCHOWN:          {"fchown", 0, none},
	syscall.SYS_FSTATFS:         {"fstatfs", 0, none},
	syscall.SYS_FALLOCATE:       {"fallocate", 0, none},
	syscall.SYS_SYNC_FILE_RANGE: {"sync_file_range", 0, none},
	syscall.SYS_SENDFILE:        {"sendfile", 1, none},
	syscall.SYS_SPLICE:          {"splice", 0, none},
	copyFileRange:               {"copy_file_range", 2, none},

	syscall.SYS_OPEN:       {"open", none, 0},
	syscall.SYS_STAT:       {"stat", none, 0},
	syscall.SYS_LSTAT:      {"lstat", none, 0},
	syscall.SYS_ACCESS:     {"access", none, 0},
	syscall.SYS_TRUNCATE:   {"truncate", none, 0},
	syscall.SYS_RENAME:     {"rename", none, 0},
	syscall.SYS_MKDIR:      {"mkdir", none, 0},
	syscall.SYS_RMDIR:      {"rmdir", none, 0},
	syscall.SYS_LINK:       {"link", none, 1},
	syscall.SYS_UNLINK:     {"unlink", none, 0},
	syscall.SYS_READLINK:   {"readlink", none, 0},
	syscall.SYS_CHMOD:      {"chmod", none, 0},
	syscall.SYS_CHOWN:      {"chown", none, 0},
	syscall.SYS_LCHOWN:     {"lchown", none, 0},
	syscall.SYS_STATFS:     {"statfs", none, 0},
	syscall.SYS_EXECVE:     {"execve", none, 0},
	syscall.SYS_OPENAT:     {"openat", 0, 1},
	syscall.SYS_MKDIRAT:    {"mkdirat", 0, 1},
	syscall.SYS_FCHOWNAT:   {"fchownat", 0, 1},
	syscall.SYS_NEWFSTATAT: {"newfstatat", 0, 1},
	syscall.SYS_UNLINKAT:   {"unlinkat", 0, 1},
	syscall.SYS_RENAMEAT:   {"renameat", 0, 1},
	renameat2:              {"renameat2", 0, 1},
	syscall.SYS_LINKAT:     {"linkat", 2, 3},
	syscall.SYS_READLINKAT: {"readlinkat", 0, 1},
	syscall.SYS_FCHMODAT:   {"fchmodat", 0, 1},
	syscall.SYS_FACCESSAT:  {"faccessat", 0, 1},
	syscall.SYS_UTIMENSAT:  {"utimensat", 0, 1},
}

// getFlags and setFlags are what Go asks of fcntl when it opens a file. Only whether it polls the file depends on that
// and on epoll_ctl; those calls are left out.
const getFlags, setFlags = 3, 4

// Numbers that package syscall lacks, and those of calls that are about no file.
const (
	renameat2     = 316
	getrandom     = 318
	copyFileRange = 326
	rseq          = 334
	pidfdOpen     = 434
	clone3        = 435
	prlimit64     = 302
)

var others = set(
	syscall.SYS_FUTEX, syscall.SYS_NANOSLEEP, syscall.SYS_CLOCK_GETTIME, syscall.SYS_CLOCK_NANOSLEEP,
	syscall.SYS_RT_SIGACTION, syscall.SYS_RT_SIGPROCMASK, syscall.SYS_RT_SIGRETURN, syscall.SYS_SIGALTSTACK,
	syscall.SYS_TGKILL, syscall.SYS_TKILL, syscall.SYS_KILL, syscall.SYS_GETPID, syscall.SYS_GETTID, syscall.SYS_GETPPID,
	syscall.SYS_GETUID, syscall.SYS_GETEUID, syscall.SYS_GETGID, syscall.SYS_GETEGID, syscall.SYS_UNAME,
	syscall.SYS_EPOLL_CREATE1, syscall.SYS_EPOLL_CTL, syscall.SYS_EPOLL_PWAIT, syscall.SYS_EVENTFD2, syscall.SYS_PIPE2,
	syscall.SYS_MUNMAP, syscall.SYS_MPROTECT, syscall.SYS_MADVISE, syscall.SYS_MINCORE, syscall.SYS_BRK,
	syscall.SYS_MREMAP, syscall.SYS_SCHED_YIELD, syscall.SYS_SCHED_GETAFFINITY, syscall.SYS_ARCH_PRCTL, syscall.SYS_PRCTL,
	syscall.SYS_CLONE, clone3, syscall.SYS_EXIT, syscall.SYS_EXIT_GROUP, syscall.SYS_SET_TID_ADDRESS,
	syscall.SYS_SET_ROBUST_LIST, syscall.SYS_GETRLIMIT, syscall.SYS_SETRLIMIT, prlimit64, getrandom, rseq, pidfdOpen,
	syscall.SYS_RESTART_SYSCALL, syscall.SYS_GETRUSAGE, syscall.SYS_TIMER_CREATE, syscall.SYS_TIMER_SETTIME,
	syscall.SYS_TIMER_DELETE, syscall.SYS_SETITIMER, syscall.SYS_SYSINFO, syscall.SYS_GETCWD, syscall.SYS_SOCKET,
	syscall.SYS_CONNECT, syscall.SYS_GETTIMEOFDAY, syscall.SYS_SETSOCKOPT, syscall.SYS_BIND, syscall.SYS_GETSOCKNAME,
	syscall.SYS_SENDTO, syscall.SYS_RECVFROM, syscall.SYS_WAIT4, syscall.SYS_WAITID, syscall.SYS_UMASK,
)

func set(numbers ...uint64) map[uint64]bool {
	all := map[uint64]bool{}
	for _, n := range numbers {
		all[n] = true
	}
	return all
}
