package wire

import (
	"math"

	"parsec-server/pkg/parsec"
)

// Extension is a value of an extension type that the profile does not know.
// Data aliases the decoded message.
type Extension struct {
	Code int8
	Data []byte
}

// Decode scans data and returns its value: map[any]any, []any, string, []byte,
// int64, uint64 (only above 2^63-1), float64, bool, nil, parsec.DateTime,
// parsec.UUID or Extension. Bytes alias data. It serves tools and tests; its
// errors wrap ErrMalformed.
func Decode(data []byte) (any, error) {
	if err := Scan(data); err != nil {
		return nil, err
	}
	c := cursor{data: data}
	return c.value()
}

func (c *cursor) value() (any, error) {
	t, err := c.next()
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case kindBool:
		return t.n == 1, nil
	case kindUint:
		if t.n > math.MaxInt64 {
			return t.n, nil
		}
		return int64(t.n), nil
	case kindInt:
		return int64(t.n), nil
	case kindFloat:
		return math.Float64frombits(t.n), nil
	case kindString:
		return string(c.body(t)), nil
	case kindBinary:
		return c.body(t), nil
	case kindExtension:
		return c.extension(t)
	case kindArray:
		items := make([]any, 0, min(t.n, maxPreallocated))
		for range t.n {
			item, err := c.value()
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	case kindMap:
		items := make(map[any]any, min(t.n, maxPreallocated))
		for range t.n {
			key, err := c.value()
			if err != nil {
				return nil, err
			}
			if items[key], err = c.value(); err != nil {
				return nil, err
			}
		}
		return items, nil
	default: // kindNil: next returns no kindIllegal without an error
		return nil, nil
	}
}

func (c *cursor) extension(t token) (any, error) {
	body := c.body(t)
	switch t.code {
	case dateTimeCode:
		date, ok := parseDateTime(body)
		if !ok {
			return nil, errDateTime
		}
		return date, nil
	case uuidCode:
		if len(body) != uuidSize {
			return nil, errUUID
		}
		return parsec.UUID(body), nil
	default:
		return Extension{Code: t.code, Data: body}, nil
	}
}
