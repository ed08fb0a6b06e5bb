package telemetry

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// lookInterval is the least time between two looks at whether the file of the
// log is still the one that has its name.
const lookInterval = time.Second

// Output is where a log goes. Its methods are safe for concurrent use.
type Output struct {
	path string // empty for a stream that is not ours

	mu     sync.Mutex
	writer io.Writer
	looked time.Time
}

// openOutput appends to the file of the options, or writes to stderr.
func openOutput(options LogOptions, stderr io.Writer) (*Output, error) {
	if options.File == "" || options.File == standardError {
		return &Output{writer: stderr}, nil
	}
	file, err := openLogFile(options.File)
	if err != nil {
		return nil, err
	}
	return &Output{path: options.File, writer: file}, nil
}

func openLogFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	return file, nil
}

// IsFile reports whether Reopen has an effect.
func (o *Output) IsFile() bool { return o.path != "" }

// Reopen opens the file again, once another program has moved it away. If that
// fails, the log goes on where it went.
func (o *Output) Reopen() error {
	if !o.IsFile() {
		return nil
	}
	file, err := openLogFile(o.path)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.swap(file)
}

// swap goes on in another file.
func (o *Output) swap(file *os.File) error {
	before := o.writer
	o.writer = file
	return before.(*os.File).Close()
}

// follow goes on in the file that now has the name, if the one that had it was
// moved or removed, and nobody has said so by SIGHUP. If there can be none, the
// log goes on where it went.
func (o *Output) follow(now time.Time) {
	if now.Sub(o.looked) < lookInterval {
		return
	}
	o.looked = now
	current, err := o.writer.(*os.File).Stat()
	if err != nil {
		return
	}
	if named, err := os.Stat(o.path); err == nil && os.SameFile(current, named) {
		return
	}
	if file, err := openLogFile(o.path); err == nil {
		_ = o.swap(file) // the old one is gone for us, however it closes
	}
}

// Close ends the log. It does not close the standard error.
func (o *Output) Close() error {
	if !o.IsFile() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer.(*os.File).Close()
}

// Write writes one line.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.IsFile() {
		o.follow(time.Now())
	}
	return o.writer.Write(line)
}
