// Command files is a client that stores files and finds them again, for tests
// of whole deployments. A file is a block of 512 KiB and a vlob of two
// versions; what the server has acknowledged is noted in a file of JSON lines.
//
//	files write -addr ADDRESS -keys KEYS -notes NOTES -count N
//	files read  -addr ADDRESS -keys KEYS -notes NOTES
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/sleep"
)

const (
	blockSize    = 512 << 10
	manifestSize = 1 << 10
	// patience is how long a command may fail before the program gives up: a
	// server that is killed keeps blocks reserved for two minutes.
	patience = 3 * time.Minute
	pause    = 100 * time.Millisecond
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	if len(arguments) == 0 || arguments[0] != "write" && arguments[0] != "read" {
		return errors.New("expected write or read")
	}
	flags := flag.NewFlagSet("files "+arguments[0], flag.ExitOnError)
	address := flags.String("addr", "", "address of the server, parsec://…")
	keys := flags.String("keys", "", "file of the keys of a device")
	notes := flags.String("notes", "", "file of what was written")
	count := flags.Int("count", 1, "how many files to write")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	server, err := parsec.ParseServerAddress(*address)
	if err != nil {
		return err
	}
	device, err := testclient.LoadDevice(*keys)
	if err != nil {
		return err
	}
	u := &user{client: parsec2.New(server, client.Options{}), device: device, out: out}
	defer u.end()
	if arguments[0] == "write" {
		return u.write(ctx, *notes, *count)
	}
	return u.read(ctx, *notes)
}

// note is one file that the server has.
type note struct {
	Block    parsec.UUID `json:"block"`
	Vlob     parsec.UUID `json:"vlob"`
	Content  string      `json:"content"`  // SHA-256 of the block
	Manifest string      `json:"manifest"` // SHA-256 of version 2 of the vlob
}

// user is a device that connects again whenever its connection is lost.
type user struct {
	client *parsec2.Client
	device *parsec2.Device
	out    io.Writer
	conn   *parsec2.Conn
	lost   int
}

func (u *user) end() {
	if u.conn != nil {
		u.conn.CloseNow()
	}
	u.client.Close()
}

// do sends a command until it is answered. done is a status that says that an
// earlier attempt, whose answer was lost, has succeeded.
func (u *user) do(ctx context.Context, done protocol.Status, send func(context.Context, *parsec2.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for again := false; ; again = true {
		err := u.attempt(ctx, send)
		if err == nil {
			return nil
		}
		u.lost++
		refusal, refused := errors.AsType[*protocol.Refusal](err)
		switch {
		case refused && again && refusal.Status == done:
			return nil
		case refused && refusal.Status != protocol.StatusTimeout:
			return err
		}
		if sleep.For(ctx, pause) != nil {
			return fmt.Errorf("no answer in %s: %w", patience, err)
		}
	}
}

func (u *user) attempt(ctx context.Context, send func(context.Context, *parsec2.Conn) error) (err error) {
	if u.conn == nil {
		if u.conn, err = u.client.DialAuthenticated(ctx, u.device); err != nil {
			return err
		}
	}
	err = send(ctx, u.conn)
	if _, refused := errors.AsType[*protocol.Refusal](err); err != nil && !refused {
		u.conn.CloseNow()
		u.conn = nil
	}
	return err
}

func (u *user) write(ctx context.Context, notes string, count int) (err error) {
	file, err := os.OpenFile(notes, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // The caller names the file.
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	realm := parsec.RealmID(parsec.NewUUID())
	err = u.do(ctx, protocol.StatusAlreadyExists, func(ctx context.Context, conn *parsec2.Conn) error {
		request, err := u.device.NewRealm(realm, now())
		if err == nil {
			_, err = parsec2.Call(ctx, conn, protocol.RealmCreate, request)
		}
		return err
	})
	for i := 0; i < count && err == nil; i++ {
		var written note
		if written, err = u.writeFile(ctx, realm); err == nil {
			err = json.NewEncoder(file).Encode(written)
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(u.out, "%d files written, with %d attempts in vain\n", count, u.lost)
	}
	return err
}

func (u *user) writeFile(ctx context.Context, realm parsec.RealmID) (note, error) {
	block, draft, manifest := make([]byte, blockSize), make([]byte, manifestSize), make([]byte, manifestSize)
	for _, content := range [][]byte{block, draft, manifest} {
		_, _ = rand.Read(content) // it never fails
	}
	written := note{parsec.NewUUID(), parsec.NewUUID(), digest(block), digest(manifest)}
	vlob := parsec.VlobID(written.Vlob)
	err := u.do(ctx, protocol.StatusAlreadyExists, func(ctx context.Context, conn *parsec2.Conn) error {
		_, err := parsec2.Call(ctx, conn, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Blob: draft,
		})
		return err
	})
	if err == nil {
		err = u.do(ctx, protocol.StatusAlreadyExists, func(ctx context.Context, conn *parsec2.Conn) error {
			_, err := parsec2.Call(ctx, conn, protocol.BlockCreate, &protocol.BlockCreateRequest{
				BlockID: parsec.BlockID(written.Block), RealmID: realm, Block: block,
			})
			return err
		})
	}
	if err == nil {
		err = u.do(ctx, protocol.StatusBadVersion, func(ctx context.Context, conn *parsec2.Conn) error {
			_, err := parsec2.Call(ctx, conn, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
				EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Version: 2, Blob: manifest,
			})
			return err
		})
	}
	return written, err
}

func (u *user) read(ctx context.Context, notes string) error {
	file, err := os.Open(notes) //nolint:gosec // The caller names the file.
	if err != nil {
		return err
	}
	defer file.Close()
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); count++ {
		var written note
		if err := json.Unmarshal(lines.Bytes(), &written); err != nil {
			return err
		}
		err := u.do(ctx, "", func(ctx context.Context, conn *parsec2.Conn) error {
			block, err := parsec2.Call(ctx, conn, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: parsec.BlockID(written.Block)})
			if err != nil {
				return err
			}
			vlob, err := parsec2.Call(ctx, conn, protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: parsec.VlobID(written.Vlob)})
			if err != nil {
				return err
			}
			if digest(block.Block) != written.Content || vlob.Version != 2 || digest(vlob.Blob) != written.Manifest {
				return protocol.Refuse(protocol.StatusNotFound, "what is stored is not what was written")
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("file %d, block %s: %w", count+1, written.Block.Hex(), err)
		}
	}
	if count == 0 {
		return errors.New("nothing to read")
	}
	_, err = fmt.Fprintf(u.out, "%d files read, as they were written\n", count)
	return err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }
