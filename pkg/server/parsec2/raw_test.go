package parsec2_test

import (
	"bufio"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// The opcodes of WebSocket frames (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// rawConn is a WebSocket client that does what it is told only: it answers no
// ping and no close, and reads when asked to.
type rawConn struct {
	f    *fixture
	conn net.Conn
	read *bufio.Reader
}

// dialRaw returns an authenticated connection of a device of CoolOrg.
func (f *fixture) dialRaw(device string, api parsec.APIVersion, headers ...string) *rawConn {
	f.t.Helper()
	raw := f.upgradeRaw(headers...)
	opcode, challenge := raw.readFrame()
	if opcode != opBinary {
		f.t.Fatalf("frame %d instead of the challenge", opcode)
	}
	author := f.device(device)
	signed := must(wire.AppendMap(nil, []wire.Field{
		{Key: "type", Value: "signed_answer"}, {Key: "answer", Value: decodeMap(f.t, challenge)["challenge"]},
	}, nil))
	raw.writeFrame(opBinary, true, must(wire.AppendMap(nil, []wire.Field{
		{Key: "handshake", Value: "answer"}, {Key: "type", Value: "AUTHENTICATED"}, {Key: "client_api_version", Value: api},
		{Key: "organization_id", Value: author.Organization}, {Key: "device_id", Value: author.ID},
		{Key: "rvk", Value: author.RootVerifyKey},
		{Key: "answer", Value: append(ed25519.Sign(author.SigningKey, signed), signed...)},
	}, nil)))
	if _, result := raw.readFrame(); decodeMap(f.t, result)["result"] != "ok" {
		f.t.Fatalf("handshake refused: %v", decodeMap(f.t, result))
	}
	return raw
}

// upgradeRaw returns a connection whose handshake has not begun.
func (f *fixture) upgradeRaw(headers ...string) *rawConn {
	f.t.Helper()
	raw, response := f.tryUpgrade("/ws", append(upgradeHeaders(), headers...)...)
	if response.StatusCode != http.StatusSwitchingProtocols {
		f.t.Fatalf("upgrade: HTTP %d", response.StatusCode)
	}
	return raw
}

// upgradeHeaders returns the headers of the official clients.
func upgradeHeaders() []string {
	return []string{
		"Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
}

// tryUpgrade sends a GET over a connection of its own.
func (f *fixture) tryUpgrade(target string, headers ...string) (*rawConn, *http.Response) {
	f.t.Helper()
	raw := f.dialTCP()
	_, err := io.WriteString(raw.conn, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n"+strings.Join(headers, "\r\n")+"\r\n\r\n")
	f.ok(err)
	response, err := http.ReadResponse(raw.read, nil)
	f.ok(err)
	return raw, response
}

func (f *fixture) dialTCP() *rawConn {
	f.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(f.ctx, "tcp", strings.TrimPrefix(f.Address.HTTPOrigin(), "http://"))
	f.ok(err)
	f.t.Cleanup(func() { _ = conn.Close() })
	deadline, _ := f.ctx.Deadline()
	f.ok(conn.SetDeadline(deadline))
	return &rawConn{f: f, conn: conn, read: bufio.NewReader(conn)}
}

// writeFrame sends one frame, with a mask of zeros.
func (r *rawConn) writeFrame(opcode byte, final bool, payload []byte) {
	r.f.t.Helper()
	_, err := r.conn.Write(appendFrame(nil, opcode, final, payload))
	r.f.ok(err)
}

func appendFrame(frame []byte, opcode byte, final bool, payload []byte) []byte {
	const masked, finalBit = 0x80, 0x80
	if final {
		opcode |= finalBit
	}
	frame = append(frame, opcode)
	switch {
	case len(payload) < 126:
		frame = append(frame, masked|byte(len(payload)))
	case len(payload) < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, masked|126), uint16(len(payload)))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, masked|127), uint64(len(payload)))
	}
	return append(append(frame, 0, 0, 0, 0), payload...)
}

// readFrame returns the next frame, which is whole.
func (r *rawConn) readFrame() (opcode byte, payload []byte) {
	r.f.t.Helper()
	opcode, payload, err := r.tryReadFrame()
	r.f.ok(err)
	return opcode, payload
}

func (r *rawConn) tryReadFrame() (opcode byte, payload []byte, err error) {
	opcode, size, err := r.readFrameHead()
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r.read, payload)
	return opcode, payload, err
}

func (r *rawConn) readFrameHead() (opcode byte, size uint64, err error) {
	var head [10]byte
	if _, err := io.ReadFull(r.read, head[:2]); err != nil {
		return 0, 0, err
	}
	size = uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(r.read, head[2:4])
		size = uint64(binary.BigEndian.Uint16(head[2:4]))
	case 127:
		_, err = io.ReadFull(r.read, head[2:10])
		size = binary.BigEndian.Uint64(head[2:10])
	}
	return head[0] &^ 0x80, size, err
}

// wantClose reads a close frame with a code.
func (r *rawConn) wantClose(code uint16) {
	r.f.t.Helper()
	opcode, payload := r.readFrame()
	if opcode != opClose || len(payload) < 2 || binary.BigEndian.Uint16(payload) != code {
		r.f.t.Fatalf("frame %d %x, want a close frame with %d", opcode, payload, code)
	}
}
