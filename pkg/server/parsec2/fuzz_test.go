package parsec2_test

import (
	"bytes"
	"testing"

	"parsec-server/internal/testkit/commands"
	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	wing "parsec-server/pkg/server/parsec2"
	"parsec-server/pkg/wire"
)

// FuzzHandshakeAnswer looks for answers that are neither accepted nor refused
// as the protocol says, or that are accepted without the device's signature.
func FuzzHandshakeAnswer(f *testing.F) {
	fixture, file := newVectorFixture(f)
	genuine := map[string]bool{}
	for _, item := range append(file.Answers, file.StatefulAnswers...) {
		f.Add(item.Frame)
		genuine[signedPart(item.Frame)] = true
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		kind, _, err := fixture.Parsec2.JudgeAnswer(t.Context(), frame, file.Setup.Challenge)
		switch {
		case err == nil && kind == protocol.Authenticated && !genuine[signedPart(frame)]:
			t.Errorf("accepted with a signature that nobody made")
		case err != nil && wing.RefusedWith(err) == "":
			t.Errorf("failed: %v", err)
		}
		if _, err := msgpack.Decode(frame); err != nil && kind != 0 {
			t.Errorf("%s from what is not msgpack", kind)
		}
	})
}

// signedPart returns the answer field, "" if there is none.
func signedPart(frame []byte) string {
	value, err := msgpack.Decode(frame)
	if err != nil {
		return ""
	}
	fields, _ := value.(map[any]any)
	answer, _ := fields["answer"].([]byte)
	return string(answer)
}

// FuzzDecode looks for messages that break the decoding of requests: what is
// decoded encodes again, to what decodes to the same.
func FuzzDecode(f *testing.F) {
	const everyKind = 4
	for _, item := range vectors.Load[[]malformedMessage](f, "malformed_messages.json") {
		f.Add(item.Message, uint8(0), uint8(3))
	}
	for _, item := range vectors.Load[struct {
		Requests []struct {
			Body []byte `json:"body"`
		} `json:"requests"`
	}](f, "http_rpc.json").Requests {
		f.Add(item.Body, uint8(2), uint8(2))
	}
	for _, command := range commands.All() {
		for i, kind := range wing.Kinds() {
			for major := uint8(1); major <= 3; major++ {
				if protocol.Kind(command.Kinds)&kind != 0 && command.Majors.Has(uint32(major)) {
					f.Add(encodeRequest(f, command, command.NewRequest()), uint8(i), major)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, message []byte, kind, major uint8) {
		of := wing.Kinds()[kind%everyKind]
		api := parsec.APIVersion{Major: uint32(major), Minor: 4}
		command, request, refusal := wing.Decode(message, of, api)
		if (refusal == nil) != (request != nil) || request != nil && command == nil {
			t.Fatalf("command %v, request %v, refusal %v", command, request, refusal)
		}
		if refusal != nil {
			if refusal.Reason == "" {
				t.Error("a refusal without reason")
			}
			return
		}
		again := encodeRequest(t, command, request)
		_, second, refusal := wing.Decode(again, of, api)
		if refusal != nil {
			t.Fatalf("%x is refused: %v", again, refusal)
		}
		if third := encodeRequest(t, command, second); !bytes.Equal(again, third) && !hasMap(request) {
			t.Errorf("%x, then %x", again, third)
		}
	})
}

// encodeRequest leaves out what has no form on the wire.
func encodeRequest(t testing.TB, command *rpc.Form, request any) []byte {
	t.Helper()
	if update, ok := request.(*protocol.AdministrationUpdateRequest); ok && update.ExpirationDate != nil && *update.ExpirationDate == protocol.Unchanged {
		given := *update
		given.ExpirationDate = nil
		request = &given
	}
	encoded, err := wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: command.Name}}, request)
	if err != nil {
		t.Fatalf("encode %s: %v", command.Name, err)
	}
	return encoded
}

// hasMap reports whether a request encodes in any order.
func hasMap(request any) bool {
	switch request.(type) {
	case *protocol.VlobCreateRequest, *protocol.VlobUpdateRequest, *protocol.RealmStartReencryptionRequest:
		return true
	default:
		return false
	}
}
