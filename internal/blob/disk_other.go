//go:build !linux

package blob

import (
	"math"
	"os"
)

// startWriteback does nothing: there is no portable way to ask for it.
func startWriteback(*os.File, int64, int64) {}

// freeSpace does not know, and says that there is enough.
func freeSpace(*os.File) (uint64, error) { return math.MaxUint64, nil }
