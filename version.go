package sluice

// APIVersion is the version of the native API that new keys are pinned to: the
// date of the last breaking change. The server still supports every earlier
// version.
const APIVersion = "2026-11-21"
