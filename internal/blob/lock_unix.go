//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package blob

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the only lock on a file (flock(2)), and reports whether it was
// free. The lock ends when f is closed, and with the process, however that ends.
func lockFile(f *os.File) (ok bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		err = syscall.EINTR
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
		}
	})
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, ctlErr
	}
	return err == nil, errors.Join(ctlErr, err)
}
