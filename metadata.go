package sluice

// Metadata is the caller's own flat map, kept byte for byte.
type Metadata map[string]string

// Limits of metadata. Lengths count characters (Unicode code points).
const (
	MaxMetadataKeys     = 50
	MaxMetadataKeyLen   = 40
	MaxMetadataValueLen = 500

	ReservedMetadataPrefix = "sluice_"
)
