package datafolder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/datafolder/layout"
	"parsec-server/pkg/sleep"
)

const (
	// startLimit bounds the start, with the recovery after a crash.
	startLimit = 10 * time.Minute
	startPoll  = 50 * time.Millisecond
	// stopLimit bounds the orderly end of PostgreSQL; then it is cut, and recovers at
	// its next start.
	stopLimit = 30 * time.Second
	cutLimit  = 10 * time.Second
	// firstPause and maxPause are between the end of PostgreSQL and its next start.
	firstPause = 200 * time.Millisecond
	maxPause   = 15 * time.Second
	// steadyAfter is how long it must have lived for the next pause to be the first.
	steadyAfter = time.Minute
	// rememberedLines are told where it does not start.
	rememberedLines = 5
)

// Postgres is the PostgreSQL of a folder, that is started again when it ends by itself.
type Postgres struct {
	folder   *Folder
	programs programs
	data     string // its folder
	logger   *slog.Logger

	stopping context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	lines []string // the last that it said
}

// StartDatabase makes the data of PostgreSQL if there is none, and starts it. It answers
// when this returns. The caller stops it before the folder is closed.
func (f *Folder) StartDatabase(ctx context.Context) (*Postgres, error) {
	if err := f.checkSocket(); err != nil {
		return nil, err
	}
	major, err := majorOf(f.Postgres())
	if err != nil {
		return nil, err
	}
	var found programs
	if major == 0 {
		if found, err = latestPrograms(ctx); err == nil {
			err = f.initialize(ctx, found, f.Postgres())
		}
	} else {
		found, err = programsOf(ctx, f.Folder, major)
	}
	if err != nil {
		return nil, err
	}
	return f.start(ctx, found, f.Postgres())
}

// initialize makes the data of PostgreSQL in a folder, which is there once it is whole.
func (f *Folder) initialize(ctx context.Context, programs programs, data string) error {
	unfinished := data + ".tmp"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := f.account.give(unfinished); err != nil {
		return err
	}
	if err := f.checkReach(ctx, programs, unfinished); err != nil {
		return err
	}
	f.options.Logger.InfoContext(ctx, "making the database", slog.String("folder", data), slog.Int("postgresql", programs.major))
	command := f.command(ctx, programs, "initdb", unfinished,
		"--pgdata", unfinished, "--username", layout.DatabaseName, "--auth-local", "trust", "--auth-host", "reject",
		"--encoding", "UTF8", "--locale", "C", "--data-checksums")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb of PostgreSQL %d: %w: %s", programs.major, err, strings.TrimSpace(string(output)))
	}
	if err := os.Rename(unfinished, data); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(data))
}

// checkReach returns an error if the account may not come to a folder.
func (f *Folder) checkReach(ctx context.Context, programs programs, folder string) error {
	command := f.command(ctx, programs, "postgres", folder, "--version")
	if err := command.Run(); errors.Is(err, fs.ErrPermission) && f.account != nil {
		return fmt.Errorf("the user %s, who runs PostgreSQL, cannot reach the folder %s: name one where every folder above may be passed (chmod a+x), such as /srv/parsec", f.account.name, f.Folder)
	} else if err != nil {
		return fmt.Errorf("PostgreSQL does not run: %w", err)
	}
	return nil
}

// command runs a program of PostgreSQL as the account, with no setting of the caller's.
func (f *Folder) command(ctx context.Context, programs programs, name, in string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, programs.path(name), arguments...)
	command.Dir = in
	command.Env = []string{"LC_ALL=C", "PATH=" + programs.folder + ":/usr/bin:/bin"}
	command.SysProcAttr = f.account.attributes()
	return command
}

func (f *Folder) start(ctx context.Context, programs programs, data string) (*Postgres, error) {
	if err := f.account.give(f.Sockets()); err != nil {
		return nil, err
	}
	if err := f.checkReach(ctx, programs, data); err != nil {
		return nil, err
	}
	p := &Postgres{folder: f, programs: programs, data: data, logger: f.options.Logger}
	if err := p.clear(ctx); err != nil {
		return nil, err
	}
	p.stopping, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	p.running.Go(func() { p.supervise(ended) })
	if err := p.await(ctx, ended); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Stop ends PostgreSQL in order, and waits for it.
func (p *Postgres) Stop() {
	p.stop()
	p.running.Wait()
}

// Major is the version of PostgreSQL.
func (p *Postgres) Major() int { return p.programs.major }

// supervise runs PostgreSQL until Stop; first is told how its first run has ended.
func (p *Postgres) supervise(first chan<- error) {
	pause := firstPause
	for {
		begun := time.Now()
		err := p.run()
		select {
		case first <- err:
		default:
		}
		if p.stopping.Err() != nil {
			return
		}
		if time.Since(begun) > steadyAfter {
			pause = firstPause
		}
		p.logger.Error("PostgreSQL has ended by itself, and is started again", slog.Any("error", err), slog.String("said", p.said()), slog.Duration("pause", pause))
		if sleep.For(p.stopping, pause) != nil {
			return
		}
		pause = min(2*pause, maxPause)
		if err := p.clear(p.stopping); err != nil {
			p.logger.Error("PostgreSQL cannot be started", slog.Any("error", err))
		}
	}
}

// run runs PostgreSQL once, on a thread that lives as long: where the system can, it
// stops when that ends.
func (p *Postgres) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command := p.folder.command(context.Background(), p.programs, "postgres", p.data,
		"-D", p.data, "-k", p.folder.Sockets(), "-c", "port="+layout.SocketPort, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700",
		"-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "log_min_messages=log", "-c", "log_checkpoints=off", "-c", "log_line_prefix=")
	stopWithThread(command.SysProcAttr)
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	var ending sync.WaitGroup
	ending.Go(func() { p.end(command.Process, done) })
	p.listen(output)
	err = command.Wait()
	close(done)
	ending.Wait()
	return err
}

// end sends the signals of an end to PostgreSQL, once it is to stop.
func (p *Postgres) end(process *os.Process, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-p.stopping.Done():
	}
	_ = process.Signal(syscall.SIGINT) // It may have ended.
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		p.logger.Warn("PostgreSQL does not stop in time, and is cut", slog.Duration("limit", stopLimit))
		_ = process.Signal(syscall.SIGQUIT)
	}
}

// listen hands on what PostgreSQL says until it ends.
func (p *Postgres) listen(output io.Reader) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := lines.Text()
		level := slog.LevelDebug
		if strings.HasPrefix(line, "PANIC") {
			level = slog.LevelWarn
		}
		p.logger.Log(p.stopping, level, "PostgreSQL says", slog.String("line", line))
		if isOfConnection(line) {
			continue
		}
		p.mu.Lock()
		p.lines = append(p.lines, line)
		p.lines = p.lines[max(0, len(p.lines)-rememberedLines):]
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, output) // A line was too long.
}

// isOfConnection reports whether PostgreSQL says that it refuses or loses somebody, which
// it does as often as somebody comes while it does not start, and which does not say why.
func isOfConnection(line string) bool {
	for _, beginning := range []string{
		"FATAL:  the database system is ", "DETAIL:  Consistent recovery state", "DETAIL:  Hot standby mode is disabled",
		"LOG:  could not send data to client", "FATAL:  terminating connection",
	} {
		if strings.HasPrefix(line, beginning) {
			return true
		}
	}
	return false
}

func (p *Postgres) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "; ")
}

// await waits until PostgreSQL answers, and has the database.
func (p *Postgres) await(ctx context.Context, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for {
		err := p.createDatabase(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case exit := <-ended:
			return fmt.Errorf("PostgreSQL %d does not start: %w: %s", p.programs.major, exit, p.said())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL %d does not answer: %w", p.programs.major, err)
		}
	}
}

func (p *Postgres) createDatabase(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, p.folder.DSNOf("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }() // It has done its work.
	var exists bool
	if err := connection.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", layout.DatabaseName).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = connection.Exec(ctx, "CREATE DATABASE "+layout.DatabaseName)
	return err
}
