package datafolder

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"parsec-server/pkg/datafolder/layout"
)

// The files of an archive, which is a tar: the head comes first, then the database, the
// token, the blocks, and last the checksums of all of them, as sha256sum prints them.
const (
	headName      = "parsec-backup.json"
	dumpName      = "database.dump"
	checksumsName = "checksums.txt"

	archiveFormat = 1
	// maxSmallFile bounds what is read into memory of a file but the checksums.
	maxSmallFile = 64 << 10
)

// archiveHead is what an archive says of itself.
type archiveHead struct {
	Format     int       `json:"format"`
	CreatedOn  time.Time `json:"created_on"`
	Server     string    `json:"server"`
	PostgreSQL int       `json:"postgresql"`
	// Blocks reports whether the blocks are in the archive, and not elsewhere.
	Blocks bool `json:"blocks"`
}

// archiveWriter adds files to an archive, and remembers their checksums.
type archiveWriter struct {
	tar  *tar.Writer
	sums strings.Builder
}

func newArchiveWriter(out io.Writer) *archiveWriter { return &archiveWriter{tar: tar.NewWriter(out)} }

// add writes so many bytes of content as a file.
func (w *archiveWriter) add(name string, size int64, modified time.Time, content io.Reader) error {
	err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: secretMode, ModTime: modified, Format: tar.FormatPAX})
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, sum), content, size); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(&w.sums, "%x  %s\n", sum.Sum(nil), name)
	return nil
}

func (w *archiveWriter) addText(name, text string) error {
	return w.add(name, int64(len(text)), time.Now(), strings.NewReader(text))
}

// addFile adds a file of the machine.
func (w *archiveWriter) addFile(name, from string) (size int64, err error) {
	file, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), w.add(name, info.Size(), info.ModTime(), file)
}

func (w *archiveWriter) close() error {
	if err := w.addText(checksumsName, w.sums.String()); err != nil {
		return err
	}
	return w.tar.Close()
}

// ErrNoBackup is of a file that Restore is given and Backup has not made.
var ErrNoBackup = errors.New("this is no backup of a folder of data")

var (
	errDamagedArchive = errors.New("the archive is damaged")
	errCutArchive     = fmt.Errorf("%w: its end is missing", errDamagedArchive)
)

// archiveReader reads an archive, and compares the checksums at its end.
type archiveReader struct {
	tar  *tar.Reader
	sums map[string]string
	// current is the file that is being read.
	current string
	sum     hash.Hash
}

func newArchiveReader(in io.Reader) *archiveReader {
	return &archiveReader{tar: tar.NewReader(in), sums: make(map[string]string)}
}

// next returns the next file, "" once all have been read and are as they were written.
// The content is read until its end before the next one.
func (r *archiveReader) next() (name string, content io.Reader, err error) {
	if r.current != "" {
		r.sums[r.current] = hex.EncodeToString(r.sum.Sum(nil))
	}
	header, err := r.tar.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCutArchive
	}
	if err != nil {
		return "", nil, err
	}
	if header.Typeflag != tar.TypeReg || !isArchived(header.Name) {
		return "", nil, fmt.Errorf("%w: %q is no file of a backup", errDamagedArchive, header.Name)
	}
	if header.Name == checksumsName {
		return "", nil, r.compare()
	}
	if _, twice := r.sums[header.Name]; twice {
		return "", nil, fmt.Errorf("%w: %s is there twice", errDamagedArchive, header.Name)
	}
	r.current, r.sum = header.Name, sha256.New()
	return header.Name, io.TeeReader(r.tar, r.sum), nil
}

// isArchived reports whether a backup has files of such a name.
func isArchived(name string) bool {
	switch name {
	case headName, dumpName, layout.TokenName, checksumsName:
		return true
	}
	return strings.HasPrefix(name, layout.BlocksName+"/") && path.Clean(name) == name && !strings.Contains(name, `\`)
}

// compare reads the checksums, which are those of all files before.
func (r *archiveReader) compare() error {
	lines := bufio.NewScanner(r.tar)
	count := 0
	for ; lines.Scan(); count++ {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		switch found, is := r.sums[name]; {
		case !is:
			return fmt.Errorf("%w: %s is missing", errDamagedArchive, name)
		case found != sum:
			return fmt.Errorf("%w: %s is not what was saved", errDamagedArchive, name)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if count != len(r.sums) {
		return fmt.Errorf("%w: it has files that were not saved", errDamagedArchive)
	}
	return nil
}

// readHead reads the first file.
func (r *archiveReader) readHead() (head archiveHead, err error) {
	name, content, err := r.next()
	switch {
	case err != nil:
		return head, fmt.Errorf("%w: %w", ErrNoBackup, err)
	case name != headName:
		return head, ErrNoBackup
	}
	text, err := io.ReadAll(io.LimitReader(content, maxSmallFile))
	if err != nil {
		return head, err
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return head, fmt.Errorf("%w: %w", errDamagedArchive, err)
	}
	if head.Format != archiveFormat {
		return head, fmt.Errorf("the backup is of a later version of the server (format %d)", head.Format)
	}
	return head, nil
}
