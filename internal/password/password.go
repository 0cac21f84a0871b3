// Package password hashes and checks the passwords of links with argon2id. It limits the number of concurrent hashes
// and thereby their memory.
package password

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/crypto/argon2"

	"sluice"
)

// Parameters of argon2id, as recommended by OWASP's Password Storage Cheat Sheet:
// 19 MiB and two passes.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSaltLen = 16
	argonKeyLen  = 32
)

// argonSlots limits the number of concurrent hashes.
var argonSlots = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))

// argon hashes a password once a slot is free. The error is that of ctx.
func argon(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case argonSlots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-argonSlots }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKeyLen), nil
}

// Hash hashes a password with a new salt from random. The error is that of random or of ctx.
func Hash(ctx context.Context, random io.Reader, password string) (sluice.PasswordHash, error) {
	salt := make([]byte, argonSaltLen)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", err
	}
	hash, err := argon(ctx, password, salt)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return sluice.PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonThreads, b64(salt), b64(hash))), nil
}

// Matches reports whether h is the hash of a password. It returns false for a hash
// with other parameters than those of Hash. The error is that of ctx.
func Matches(ctx context.Context, h sluice.PasswordHash, password string) (bool, error) {
	var version, memory, passes, threads int
	var rest string
	n, err := fmt.Sscanf(string(h), "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &memory, &passes, &threads, &rest)
	ours := version == argon2.Version && memory == argonMemory && passes == argonTime && threads == argonThreads
	if err != nil || n != 5 || !ours {
		return false, nil
	}
	const saltText = (argonSaltLen*8 + 5) / 6
	if len(rest) < saltText+1 {
		return false, nil
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(rest[:saltText])
	want, err2 := base64.RawStdEncoding.DecodeString(rest[saltText+1:])
	if err1 != nil || err2 != nil || len(want) != argonKeyLen {
		return false, nil
	}
	hash, err := argon(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare(hash, want) == 1, err
}
