package blockstore

// ErrDamaged is what a store says of an object that is not what was created.
var ErrDamaged = errDamaged
