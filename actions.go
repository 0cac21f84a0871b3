package sluice

// AllActions gives every action that this version writes, in the order in which
// they are declared.
func AllActions() []Action {
	return []Action{
		AccountCreated, SigningKeyAdded, KeyCreated, KeyEnded, FileCreated, KeyUpdated, KeyRotated, FileUpdated, FileHeld,
		FileReleased, FileRetainedOut, FileRead, FileEnded, LinkCreated, LinkUpdated, LinkEnded, LinkRedeemed, LinkRefused,
		LinkDelivered, AuditExported, AuditRedacted, KeyHandedOver, LedgerRolledBack, AccessDenied,
	}
}
