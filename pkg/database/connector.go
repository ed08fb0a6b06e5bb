package database

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Source names a database.
type Source struct {
	// DSN is in any form that pgx reads, its own parameters included; those of
	// its pool have no effect.
	DSN string
	// Reread returns the DSN of the moment, for each new connection: its password
	// may have been replaced. Nil for one that stays.
	Reread func() (string, error)
	// Logger is told of what is ignored, once, and when the DSN cannot be read
	// again. Nil for nobody.
	Logger *slog.Logger
}

const (
	// silenceLimit is how long the other side may acknowledge nothing before a
	// connection counts as lost.
	silenceLimit = 10 * time.Second
	// keepAliveIdle is how long a connection is silent before the other side is
	// asked whether it is still there, again after each keepAliveInterval.
	keepAliveIdle     = 4 * time.Second
	keepAliveInterval = 2 * time.Second
	keepAliveCount    = 3
)

// connector makes the configuration of each new connection. Its methods are
// safe for concurrent use.
type connector struct {
	source Source
	// fixed are settings that no DSN changes.
	fixed map[string]string

	mu sync.Mutex
	// last is the configuration that was understood last.
	last *pgxpool.Config
	// failure is why it could not be read again, "" if it could.
	failure string
	// told are the ignored parameters that the log has been told of.
	told map[string]bool
}

// newConnector returns the error of a DSN that is not valid.
func newConnector(source Source, fixed map[string]string) (*connector, error) {
	if source.Logger == nil {
		source.Logger = slog.New(slog.DiscardHandler)
	}
	c := &connector{source: source, fixed: fixed, told: map[string]bool{}}
	config, err := c.parse(source.DSN)
	if err != nil {
		return nil, err
	}
	c.last = config
	return c, nil
}

// parse reads a DSN, with the files that it names, and adds the limits of
// every connection.
func (c *connector) parse(dsn string) (*pgxpool.Config, error) {
	config, err := readDSN(dsn)
	if err != nil {
		return nil, err
	}
	connection := config.ConnConfig
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = connectLimit
	}
	connection.DialFunc = (&net.Dialer{
		Timeout: connection.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount,
		},
		Control: func(network, _ string, socket syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			return limitSilence(socket, silenceLimit)
		},
	}).DialContext
	settings := maps.Clone(defaults)
	maps.Copy(settings, takeSettings(connection))
	maps.Copy(settings, c.fixed)
	if connection.RuntimeParams["application_name"] == "" {
		connection.RuntimeParams["application_name"] = "parsec-server"
	}
	of := &session{settings: settings, kept: keepsSessions(connection), ignored: c.warnOfIgnored}
	connection.AfterConnect = of.begin
	return config, nil
}

// now returns the configuration of the next connection, which the caller may change.
func (c *connector) now(ctx context.Context) *pgx.ConnConfig {
	config, err := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.last, c.failure = config, ""
	} else if text := err.Error(); text != c.failure {
		c.failure = text
		c.source.Logger.WarnContext(ctx, "the DSN of the database cannot be read again: that of before is used", slog.Any("error", err))
	}
	return c.last.ConnConfig.Copy()
}

// connect opens a connection beside the pool, which the caller closes.
func (c *connector) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, c.now(ctx))
}

func (c *connector) read() (*pgxpool.Config, error) {
	dsn := c.source.DSN
	if c.source.Reread != nil {
		var err error
		if dsn, err = c.source.Reread(); err != nil {
			return nil, err
		}
	}
	return c.parse(dsn)
}

// pool returns a configuration that follows the source, for so many connections.
func (c *connector) pool(least, most int32) *pgxpool.Config {
	c.mu.Lock()
	config := c.last.Copy()
	c.mu.Unlock()
	config.MinConns, config.MaxConns = least, most
	config.BeforeConnect = func(ctx context.Context, connection *pgx.ConnConfig) error {
		*connection = *c.now(ctx)
		return nil
	}
	return config
}

// warnOfIgnored warns once of a parameter, by its name alone.
func (c *connector) warnOfIgnored(ctx context.Context, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told[name] {
		return
	}
	c.told[name] = true
	warning := "the parameter of the DSN has no effect here"
	if strings.Contains(name, "ssl") || strings.Contains(name, "tls") {
		warning += ": whether TLS is used, and what is verified, is for sslmode"
	}
	c.source.Logger.WarnContext(ctx, warning, slog.String("parameter", name))
}

// NewPool returns a pool of at most size connections, with the limits of a
// Database, for what needs no more than statements of its own. It does not connect
// before it is used; the caller closes it.
func NewPool(source Source, size int32) (*pgxpool.Pool, error) {
	from, err := newConnector(source, nil)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), from.pool(0, size))
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return pool, nil
}
