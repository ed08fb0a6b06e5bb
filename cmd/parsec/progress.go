package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	// barPeriod is the time between two states of a progress bar, linePeriod
	// that between two lines where there is no terminal.
	barPeriod  = 100 * time.Millisecond
	linePeriod = 10 * time.Second
)

// progress shows on the standard error how far a command is: by a bar if that
// is a terminal, by a line from time to time if not.
type progress struct {
	stdout, stderr io.Writer
	bar            *progressbar.ProgressBar // nil for lines
	// total is in bytes, or items if inItems, 0 if nobody knows; then items are shown.
	total        int64
	inItems      bool
	told         time.Time
	items, bytes int64
	// reached is what a command could go on after; "" for nothing yet.
	reached string
}

func newProgress(stdout, stderr io.Writer, total int64) *progress {
	p := &progress{stdout: stdout, stderr: stderr, total: total, told: time.Now()}
	p.show()
	return p
}

// newItemProgress is newProgress for a total of items.
func newItemProgress(stdout, stderr io.Writer, total int64) *progress {
	p := &progress{stdout: stdout, stderr: stderr, total: total, inItems: true, told: time.Now()}
	p.show()
	return p
}

func (p *progress) show() {
	if isTerminal(p.stderr) {
		p.showBar()
	}
}

// isTerminal reports whether w is a terminal that can move its cursor.
func isTerminal(w io.Writer) bool {
	file, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

func (p *progress) showBar() {
	limit := p.total
	if limit == 0 {
		limit = -1 // A spinner.
	}
	p.bar = progressbar.NewOptions64(limit,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionShowBytes(p.total > 0 && !p.inItems),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(barPeriod),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish())
}

// advance counts blocks or objects that are done.
func (p *progress) advance(items, bytes int64) {
	p.items += items
	p.bytes += bytes
	if p.bar != nil {
		step := items
		if p.total > 0 && !p.inItems {
			step = bytes
		}
		_ = p.bar.Add64(step) // It fails beyond the total, which grows meanwhile.
		return
	}
	if time.Since(p.told) < linePeriod {
		return
	}
	p.told = time.Now()
	text := fmt.Sprintf("%d done", p.items)
	switch {
	case p.inItems:
		text += fmt.Sprintf(" of %d", max(p.total, p.items)) // It grows meanwhile.
	case p.total > 0:
		text += ", " + byteCount(p.bytes) + " of " + byteCount(p.total)
	}
	if p.reached != "" {
		text += ", up to '" + p.reached + "'"
	}
	fmt.Fprintln(p.stderr, text)
}

// line prints a line of the result above the bar.
func (p *progress) line(text string) {
	p.end()
	fmt.Fprintln(p.stdout, text)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear() // The terminal may be gone.
	}
}

// byteCount returns a number of bytes for people.
func byteCount(bytes int64) string {
	const kibi = 1024
	if bytes < kibi {
		return fmt.Sprintf("%d bytes", bytes)
	}
	size, unit := float64(bytes)/kibi, 0
	for ; size >= kibi && unit < 4; unit++ {
		size /= kibi
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTP"[unit])
}
