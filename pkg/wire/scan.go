package wire

import "unicode/utf8"

// Scan checks that data is exactly one legal value of the profile
// (docs/protocol/transport.md §5): at most 64 arrays and maps inside each
// other, bin and str of at most 1 MiB, arrays of at most 131072 and maps of at
// most 32768 items, str in UTF-8, keys that are str, UUID or int, UUIDs of 16
// bytes, date-times of years 1 to 9999, and nothing after the value. Other
// extensions are legal whatever they hold. It allocates nothing; its errors
// wrap ErrMalformed.
func Scan(data []byte) error { return Seconds.Scan(data) }

// ScanReply is Scan for what a server says: arrays and maps of any number of
// items are legal, as many as there are vlobs in a realm.
func ScanReply(data []byte) error { return Seconds.ScanReply(data) }

func (p *Profile) scanWhole(data []byte, limited bool) error {
	c := scanner{cursor: cursor{data: data}, profile: p, limited: limited}
	if err := c.scan(0); err != nil {
		return err
	}
	if c.pos != len(data) {
		return errTrailing
	}
	return nil
}

// scanner is a cursor that checks each value that it passes.
type scanner struct {
	cursor
	profile *Profile
	// limited is set when arrays and maps may only have so many items.
	limited bool
}

func (c *scanner) scan(depth int) error {
	t, err := c.next()
	if err != nil {
		return err
	}
	switch t.kind {
	case kindString, kindBinary, kindExtension:
		return c.check(t)
	case kindArray:
		if depth == maxDepth {
			return errTooDeep
		}
		if c.limited && t.n > maxArrayItems {
			return errTooManyItems
		}
		for range t.n {
			if err := c.scan(depth + 1); err != nil {
				return err
			}
		}
	case kindMap:
		if depth == maxDepth {
			return errTooDeep
		}
		if c.limited && t.n > c.profile.maxMapItems {
			return errTooManyItems
		}
		for range t.n {
			key, err := c.next()
			if err != nil {
				return err
			}
			if !c.profile.isKey(key) {
				return errKey
			}
			if err := c.check(key); err != nil {
				return err
			}
			if err := c.scan(depth + 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// check looks into the body of t.
func (c *scanner) check(t token) error {
	switch t.kind {
	case kindString:
		if t.n > c.profile.maxBytes {
			return errTooLong
		}
		if !utf8.Valid(c.body(t)) {
			return errText
		}
	case kindBinary:
		if t.n > c.profile.maxBytes {
			return errTooLong
		}
	case kindExtension:
		if t.code == uuidCode && t.n != uuidSize {
			return errUUID
		}
		if t.code == dateTimeCode {
			if _, ok := c.profile.parseDateTime(c.body(t)); !ok {
				return errDateTime
			}
		}
	}
	return nil
}

// IsMap reports whether the root of data is a map.
func IsMap(data []byte) bool {
	c := cursor{data: data}
	root, err := c.next()
	return err == nil && root.kind == kindMap
}

// LookupString returns the text under key in the root map of scanned data. It
// is false if there is no such key or its value, the last one of duplicates,
// is not a str.
func LookupString(data []byte, key string) (text string, ok bool) {
	return Seconds.LookupString(data, key)
}

// LookupString is wire.LookupString in this profile.
func (p *Profile) LookupString(data []byte, key string) (text string, ok bool) {
	c := cursor{data: data}
	root, err := c.next()
	if err != nil || root.kind != kindMap {
		return "", false
	}
	var found []byte
	seen := false
	for range root.n {
		t, err := c.next()
		if err != nil {
			return "", false
		}
		if t.kind != kindString || string(c.body(t)) != key {
			if err := c.skip(); err != nil {
				return "", false
			}
			continue
		}
		if seen && p.fieldsOnce {
			return "", false
		}
		seen = true
		start := c.pos
		if t, err = c.next(); err != nil {
			return "", false
		}
		if ok = t.kind == kindString; ok {
			found = c.body(t)
			continue
		}
		found = nil
		c.pos = start
		if err := c.skip(); err != nil {
			return "", false
		}
	}
	return string(found), ok
}
