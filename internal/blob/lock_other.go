//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package blob

import (
	"errors"
	"os"
)

// lockFile fails: without flock(2) nothing ends a lock with its process.
func lockFile(*os.File) (ok bool, err error) { return false, errors.ErrUnsupported }
