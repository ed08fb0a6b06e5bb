package vectors

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"parsec-server/pkg/parsec"
)

// Digest is a bin that is the key of a map.
type Digest = [32]byte

// Decoded is a msgpack value in the notation of docs/protocol/v5/vectors.md. Value
// has the types that msgpack.Decode of the testkit returns.
type Decoded struct{ Value any }

// UnmarshalJSON reads the notation.
func (d *Decoded) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // 64 bits do not fit a float64
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	decoded, err := decode(value)
	d.Value = decoded
	return err
}

func decode(value any) (any, error) {
	switch value := value.(type) {
	case json.Number:
		if strings.ContainsAny(value.String(), ".eE") {
			return value.Float64()
		}
		return value.Int64()
	case []any:
		return decodeList(value)
	case map[string]any:
		if len(value) == 1 {
			for notation, content := range value {
				if strings.HasPrefix(notation, "$") {
					return decodeNotation(notation, content)
				}
			}
		}
		items := make(map[any]any, len(value))
		for key, item := range value {
			decoded, err := decode(item)
			if err != nil {
				return nil, err
			}
			items[key] = decoded
		}
		return items, nil
	default:
		return value, nil
	}
}

func decodeList(list []any) (any, error) {
	items := make([]any, len(list))
	for i, item := range list {
		decoded, err := decode(item)
		if err != nil {
			return nil, err
		}
		items[i] = decoded
	}
	return items, nil
}

func decodeNotation(notation string, content any) (any, error) {
	if notation == "$map" {
		return decodePairs(content)
	}
	text, ok := content.(string)
	if !ok {
		return nil, fmt.Errorf("%s of %T", notation, content)
	}
	switch notation {
	case "$bin":
		return base64.StdEncoding.DecodeString(text)
	case "$uuid":
		return parsec.ParseUUID(text)
	case "$date":
		return parsec.ParseDateTime(text)
	default:
		return nil, fmt.Errorf("unknown notation %s", notation)
	}
}

func decodePairs(content any) (any, error) {
	pairs, err := decode(content)
	if err != nil {
		return nil, err
	}
	list, ok := pairs.([]any)
	if !ok {
		return nil, fmt.Errorf("$map of %T", content)
	}
	items := make(map[any]any, len(list))
	for _, pair := range list {
		pair, ok := pair.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("$map with an item %v", pair)
		}
		if key, isBytes := pair[0].([]byte); isBytes {
			if len(key) != len(Digest{}) {
				return nil, fmt.Errorf("$map with the key %x", key)
			}
			pair[0] = Digest(key)
		}
		items[pair[0]] = pair[1]
	}
	return items, nil
}
