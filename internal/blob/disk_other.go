//go:build !linux

package blob

import (
	"math"
	"os"
)

// startWriteback does nothing, because there is no portable call for it.
func startWriteback(*os.File, int64, int64) {}

// freeSpace cannot tell, and reports that there is enough.
func freeSpace(*os.File) (uint64, error) { return math.MaxUint64, nil }
