package parsec3

import (
	"io"
	"strings"

	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// openings are the commands that are told before the whole body is there, by what
// follows the head of the map when their name comes first, as official clients write it.
var openings = func() map[string]*rpc.Form {
	const fixedText = 0xa0 // with the length of what follows
	commands := map[string]*rpc.Form{}
	for _, form := range []*rpc.Form{
		protocol.VlobCreate.Form, protocol.VlobUpdate.Form, protocol.BlockCreate.Form,
		protocol.VlobReadBatch.Form, protocol.InviteGreeterStep.Form, protocol.InviteClaimerStep.Form,
	} {
		commands["\xa3cmd"+string([]byte{fixedText | byte(len(form.Name))})+form.Name] = form
	}
	return commands
}()

// openingBytes is more than the longest head of a map with one of openings has.
const openingBytes = 32

// openingBody is a body whose first bytes are kept, and may be read before the rest.
type openingBody struct {
	io.ReadCloser
	// first has the kept bytes, of which the reader was given so many.
	first       [openingBytes]byte
	kept, given int
	// err is what the body ended with, nil before.
	err error
}

// Read implements io.Reader.
func (b *openingBody) Read(p []byte) (int, error) {
	if b.given < b.kept {
		n := copy(p, b.first[b.given:b.kept])
		b.given += n
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	b.kept += copy(b.first[b.kept:], p[:n])
	b.given, b.err = b.kept, err
	return n, err
}

// command returns the command of openings that the body begins with, nil for none. It reads
// no more than it needs to know.
func (b *openingBody) command() *rpc.Form {
	for {
		form, more := commandOf(string(b.first[:b.kept]))
		if !more || b.err != nil {
			return form
		}
		var n int
		n, b.err = b.ReadCloser.Read(b.first[b.kept:])
		b.kept += n
	}
}

// commandOf finds the command of openings that a message begins with, and reports whether
// more of the message may tell.
func commandOf(opening string) (_ *rpc.Form, more bool) {
	if opening == "" {
		return nil, true
	}
	const small, medium, large = 0x80, 0xde, 0xdf // heads of maps, of 1, 3 and 5 bytes
	var head int
	switch first := opening[0]; {
	case first&0xf0 == small:
		head = 1
	case first == medium:
		head = 3
	case first == large:
		head = 5
	default:
		return nil, false
	}
	if len(opening) < head {
		return nil, true
	}
	for begin, form := range openings {
		if strings.HasPrefix(opening[head:], begin) {
			return form, false
		}
		more = more || strings.HasPrefix(begin, opening[head:])
	}
	return nil, more
}
