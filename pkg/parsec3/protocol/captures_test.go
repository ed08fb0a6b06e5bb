package protocol_test

import (
	"reflect"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// capturedBody is a body of captures.json (docs/protocol/v5/vectors.md).
type capturedBody struct {
	messageVector
	Path string `json:"path"`
	HTTP int    `json:"http"`
}

type capture struct {
	Exchanges []struct {
		Name           string `json:"name"`
		Request, Reply capturedBody
	} `json:"exchanges"`
	Streams []struct {
		Name     string
		Messages []messageVector
	} `json:"streams"`
}

// Every recorded request and reply of the commands that are built decodes, and is
// written again with the same values.
func TestCapturedMessages(t *testing.T) {
	checked := 0
	for _, exchange := range vectors.Load[capture](t, "v5/captures.json").Exchanges {
		v := commandVector{Family: familyOf(exchange.Request.Path)}
		v.Command, _ = wire.Microseconds.LookupString(exchange.Request.Raw, "cmd")
		if families[v.Family] == 0 || exchange.Reply.HTTP != 200 || formOf(t, v) == nil {
			continue
		}
		checked++
		t.Run(exchange.Name, func(t *testing.T) {
			request := formOf(t, v).NewRequest()
			scan(t, exchange.Request.Raw)
			if err := wire.Microseconds.Unmarshal(exchange.Request.Raw, request); err != nil {
				t.Fatal(err)
			}
			got := encode(t, []wire.Field{{Key: "cmd", Value: v.Command}}, request)
			if want := exchange.Request.fields(t); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			reply := exchange.Reply.messageVector
			reply.Status = protocol.Status(reply.fields(t)["status"].(string))
			if isBuilt(t, v.Command, reply) {
				checkReply(t, v.Command, reply)
			}
		})
	}
	if checked < 60 {
		t.Errorf("%d exchanges are of commands that are built", checked)
	}
}

// familyOf returns the family of a route, "" for what is none.
func familyOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) == 3 {
		return parts[2]
	}
	return parts[0]
}

// The recorded events are those that the server sends.
func TestCapturedEvents(t *testing.T) {
	checked := 0
	for _, stream := range vectors.Load[capture](t, "v5/captures.json").Streams {
		for i, message := range stream.Messages {
			if len(message.Decoded) == 0 || string(message.Decoded) == "null" {
				continue // no event of the default type
			}
			want := message.fields(t)
			name, _ := want["event"].(string)
			if events[name] == nil || want["status"] != "ok" {
				continue
			}
			checked++
			delete(want, "event")
			told := events[name]()
			head := []wire.Field{{Key: "status", Value: "ok"}}
			// The recording has the value, which the codec reads from its bytes.
			encoded, err := wire.Microseconds.Append(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.Microseconds.Unmarshal(encoded, told); err != nil {
				t.Errorf("%s, message %d: %v", stream.Name, i, err)
				continue
			}
			if got := encode(t, head, told); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, message %d: got %v, want %v", stream.Name, i, got, want)
			}
			if event, ok := told.(protocol.Event); !ok || event.EventName() != name {
				t.Errorf("%s, message %d: %T", stream.Name, i, told)
			}
		}
	}
	if checked == 0 {
		t.Error("no event")
	}
}
