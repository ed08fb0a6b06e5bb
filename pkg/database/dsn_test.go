//go:build !without_postgresql

package database_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
)

// TestDSNRefused has DSNs that no server can work with: what is wrong is named,
// and no password shown.
func TestDSNRefused(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dsn, wanted := range map[string][]string{
		"mysql://u:s3cr3t@h/d":                         {`"mysql://"`, "expected is postgresql://"},
		"jdbc:postgresql://h/d?user=u&password=s3cr3t": {`"jdbc:"`, "expected is postgresql://"},
		"postgresql+asyncpg://u:s3cr3t@h/d":            {`"postgresql+asyncpg://"`, "expected is postgresql://"},
		"Host=h;Username=u;Password=s3cr3t;Database=d": {"ADO.NET", "expected is postgresql://"},
		"s3cr3t":       {"neither a URL nor", "expected is postgresql://"},
		"u:s3cr3t@h/d": {"neither a URL nor", "expected is postgresql://"},
		"host=h user=u password=s3cr3t with blanks":                         {"single quotes"},
		"postgresql://u:s3cr3t%zz@h/d":                                      {"%25"},
		"postgresql://u:s3cr3t%@h/d":                                        {"%25"},
		"postgresql://u:s3cr3t/more@h/d":                                    {"%2F"},
		"host=h user=u s3cr3t!=x":                                           {"name of a parameter"},
		"postgresql://u:s3cr3t@h:port/d":                                    {"port"},
		"postgresql://u:s3cr3t@h/d?sslmode=verify-full&sslrootcert=/no/ca":  {"/no/ca", "no such file"},
		"host=h password=s3cr3t sslmode=verify-ca sslrootcert=/no/ca":       {"/no/ca", "no such file"},
		"host=h password=s3cr3t sslmode=verify-ca sslrootcert=" + notPEM:    {"CA"},
		"postgresql://u:s3cr3t@h/d?sslmode=no-verify":                       {"sslmode is invalid"},
		"postgresql://u:s3cr3t@h/d?sslmode=require&sslcert=/no/c":           {"sslkey"},
		"postgresql://u:s3cr3t@h/d?sslmode=require&sslcert=/c&sslkey=/no/k": {"/no/k", "no such file"},
		"postgresql://u:s3cr3t@h/d?target_session_attrs=master":             {"target_session_attrs", "master"},
		"postgresql://u:s3cr3t@h/d?connect_timeout=10s":                     {"connect_timeout"},
		"postgresql://u:s3cr3t@h/d?service=nothing":                         {"service"},
	} {
		_, err := database.Open(t.Context(), options(dsn), testkit.NewBus(t))
		if err == nil {
			t.Errorf("%s is taken", dsn)
			continue
		}
		for _, want := range wanted {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not name %s", dsn, err, want)
			}
		}
		if strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: the password is shown: %q", dsn, err)
		}
	}
}

// TestDSNOfProviders has parameters of libpq that pgx does not use, and of other
// drivers: each is ignored with one warning, however many connections there
// are. Those of PostgreSQL count.
func TestDSNOfProviders(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	foreign := []string{
		"gssencmode=disable", "sslcompression=0", "keepalives=1", "keepalives_idle=30", "load_balance_hosts=random",
		"requirepeer=''", "ssl_min_protocol_version=TLSv1.2", "fallback_application_name=x", // libpq
		"schema=public", "connection_limit=5", "pgbouncer=true", "sslaccept=strict", "socket_timeout=10", // Prisma
		"ApplicationName=x", "currentSchema=public", "prepareThreshold=0", "reWriteBatchedInserts=true", // JDBC
		"binary_parameters=yes", "prepared_statement_cache_size=0", "charset=utf8", "max_connections=20", "ssl=require", // others
	}
	var lines testkit.Output
	settings := options(dsn + " " + strings.Join(foreign, " ") + " search_path=public work_mem=8MB lock_timeout=3s")
	settings.MinConnections, settings.MaxConnections = 2, 2
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	populate(t, open(t, settings, testkit.NewBus(t)))
	for _, parameter := range foreign {
		name, _, _ := strings.Cut(parameter, "=")
		if told := strings.Count(lines.String(), "parameter="+strings.ToLower(name)+"\n"); told != 1 {
			t.Errorf("%s: %d warnings", name, told)
		}
	}
	if strings.Contains(lines.String(), "work_mem") || strings.Contains(lines.String(), "search_path") {
		t.Errorf("ignored what PostgreSQL knows: %s", lines.String())
	}
	pool, err := database.NewPool(database.Source{DSN: settings.DSN}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var memory, lock string
	if err := pool.QueryRow(t.Context(), "SELECT current_setting('work_mem'), current_setting('lock_timeout')").Scan(&memory, &lock); err != nil {
		t.Fatal(err)
	}
	if memory != "8MB" || lock != "3s" {
		t.Errorf("work_mem is %s, lock_timeout %s", memory, lock)
	}
}

// TestDSNInCapitals has a scheme that is written so.
func TestDSNInCapitals(t *testing.T) {
	for _, dsn := range []string{"POSTGRES://127.0.0.1:1/d", "PostgreSQL://127.0.0.1:1/d"} {
		if _, err := database.Open(t.Context(), options(dsn), testkit.NewBus(t)); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
