// Package wire is the msgpack profile of the protocol
// (docs/protocol/transport.md §5): a scanner that decides whether bytes from
// outside are one legal value, and a codec between legal values and Go types.
//
// Bytes from outside go through Scan first, or ScanReply those of a server,
// then IsMap, LookupString and Unmarshal. Nothing is allocated because of a
// declared length: every length and count is compared with the bytes left, and
// lengths with the limit of §5.2, which Scan applies to counts as well.
// Unmarshal and LookupString do not panic on bytes that were not scanned either,
// but only the scans check text, extensions, depth and the end.
// What Append writes, ScanReply accepts.
//
// # Struct tags
//
// A struct is a map whose keys are the names in the tags of its fields:
//
//	RealmID parsec.RealmID `wire:"realm_id"`
//
// Fields without tag, or tagged "-", take no part. Embedded structs are
// flattened. A struct whose first field is
//
//	_ struct{} `wire:",array"`
//
// is instead an array of its other fields, in order, which have no tags.
//
// What decoding does with a field that is not there, and encoding with a field
// that holds its zero value, depends on the options after the name:
//
//	                    absent          nil             zero value is written
//	(none)              refused         refused         as itself
//	nullable            refused         zero value      as nil
//	optional            left untouched  left untouched  as nil; numbers and booleans as themselves
//	nullable,optional   left untouched  zero value      as nil
//
// A field with the option if=VALUE is one of a variant: it is there only where the
// first field of the struct, a text, is VALUE. Elsewhere it is neither read nor
// written: its name is unknown there, or that of a field of another variant. A first
// field that is none of the values of the struct is refused, by both.
//
// A pointer without option is nullable. "Left untouched" lets a request carry
// the defaults set before decoding. With omitnil, a field that would be
// written as nil is not written at all. A number, date or boolean whose zero
// value differs from nil must be a pointer to be nullable.
//
// # Types
//
//	string                                    str
//	encoding.TextMarshaler, TextUnmarshaler   str
//	encoding.BinaryMarshaler, …Unmarshaler    bin, unless the type has a text or is an array
//	[]byte                                    bin; decoded, it aliases the message
//	[16]byte and types made of it             extension 2 (UUID)
//	other arrays of bytes                     bin of exactly that size
//	bool                                      bool
//	intN, uintN                               int, in the range of the type and at most 2^63-1 (decoding)
//	float64                                   float64; float32 and int are also decoded
//	parsec.DateTime                           extension 1, as the Profile says
//	parsec.APIVersion                         array of two int
//	MarshalPair, UnmarshalPair                array of two str
//	pointer                                   its element or nil
//	slice                                     array
//	map                                       map; keys are text, UUID, int, or bin of 32 bytes where the Profile says so
//	struct                                    map, or array as said above
//	interface                                 its value (encoding only)
//
// Recursive types, time.Time and everything else are programming errors.
package wire
