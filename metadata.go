package sluice

// Metadata is a flat map of the caller's, stored byte for byte.
type Metadata map[string]string

// Limits of metadata. Lengths count characters (Unicode code points).
const (
	MaxMetadataKeys     = 50
	MaxMetadataKeyLen   = 40
	MaxMetadataValueLen = 500

	ReservedMetadataPrefix = "sluice_"
)
