package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
)

// OfficialColumn is one of a table of an official server.
type OfficialColumn struct {
	Name, Type string
	Nullable   bool
	Default    string
	Serial     bool
}

// OfficialTable is a table of an official server.
type OfficialTable struct {
	Columns    []OfficialColumn
	PrimaryKey []string `json:"primary_key"`
	Unique     [][]string
	References []struct {
		Columns, To []string
		Table       string
	}
	Checks []struct {
		WhenTrue string `json:"when_true"`
		NotNull  string `json:"not_null"`
		Null     string
	}
	Indexes []struct {
		Columns      []string
		Unique       bool
		WhereNull    string `json:"where_null"`
		WhereNotNull string `json:"where_not_null"`
	}
}

// Official is a real database of an official server (docs/protocol/import-samples.md).
type Official struct {
	Schema struct {
		Enums      map[string][]string
		Composites map[string][][2]string
		Tables     map[string]OfficialTable
	}
	Rows map[string][]map[string]*string
}

// LoadOfficial returns the database of a release.
func LoadOfficial(t testing.TB, release string) *Official {
	t.Helper()
	loaded := vectors.Load[Official](t, "import/official-"+release+".json")
	return &loaded
}

// NewOfficial returns the DSN of a database of an official server, which ends with the
// test, for a user who may do nothing but read it. Owner is the DSN of who may do all.
func NewOfficial(t testing.TB, from *Official) (dsn, owner string) {
	t.Helper()
	server, name := needPostgres(t), newDatabaseName()
	script := from.script(t)
	digest := sha256.Sum256([]byte(script))
	template := fmt.Sprintf("%sofficial_%x", postgresPrefix, digest[:8])
	if err := server.makeTemplate(t.Context(), template, func(dsn string) error { return server.execute(t.Context(), dsn, script) }); err != nil {
		t.Fatalf("make the database of the official server: %v", err)
	}
	if err := server.execute(t.Context(), server.maintenance(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.drop(t, name) })
	owner = server.dsn(name)
	connection := Connect(t, owner)
	role := "reader_" + connection.Config().Database
	for _, statement := range []string{
		"CREATE ROLE " + role + " LOGIN",
		"GRANT USAGE ON SCHEMA public TO " + role,
		"GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + role,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO " + role,
	} {
		Execute(t, connection, statement)
	}
	// Whoever is connected counts as an official server.
	if err := connection.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		server := needPostgres(t)
		if err := server.execute(ctx, owner, "DROP OWNED BY "+role, "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	return owner + " user=" + role, owner
}

// script makes the database.
func (o *Official) script(t testing.TB) string {
	t.Helper()
	script := []string{"SET TIME ZONE 'UTC'", "BEGIN"}
	script = append(append(append(script, o.types()...), o.tables()...), o.inserts(t)...)
	return strings.Join(append(append(script, o.references()...), "COMMIT"), ";\n")
}

func quotedName(name string) string { return `"` + name + `"` }

func quotedNames(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = quotedName(name)
	}
	return strings.Join(all, ", ")
}

func quotedText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func (o *Official) types() (script []string) {
	for _, name := range slices.Sorted(maps.Keys(o.Schema.Enums)) {
		script = append(script, fmt.Sprintf("CREATE TYPE %s AS ENUM ('%s')", quotedName(name), strings.Join(o.Schema.Enums[name], "', '")))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Schema.Composites)) {
		var fields []string
		for _, field := range o.Schema.Composites[name] {
			fields = append(fields, quotedName(field[0])+" "+field[1])
		}
		script = append(script, fmt.Sprintf("CREATE TYPE %s AS (%s)", quotedName(name), strings.Join(fields, ", ")))
	}
	return script
}

func (o *Official) tables() (script []string) {
	for _, name := range slices.Sorted(maps.Keys(o.Schema.Tables)) {
		table := o.Schema.Tables[name]
		script = append(script, "CREATE TABLE "+quotedName(name)+" ("+strings.Join(table.parts(), ", ")+")")
		for _, index := range table.Indexes {
			kind, where := "", ""
			if index.Unique {
				kind = "UNIQUE "
			}
			switch {
			case index.WhereNull != "":
				where = " WHERE " + quotedName(index.WhereNull) + " IS NULL"
			case index.WhereNotNull != "":
				where = " WHERE " + quotedName(index.WhereNotNull) + " IS NOT NULL"
			}
			script = append(script, "CREATE "+kind+"INDEX ON "+quotedName(name)+" ("+quotedNames(index.Columns)+")"+where)
		}
	}
	return script
}

func (t *OfficialTable) parts() (parts []string) {
	for _, column := range t.Columns {
		part := quotedName(column.Name) + " " + column.Type
		switch {
		case column.Serial && column.Type == "bigint":
			part = quotedName(column.Name) + " BIGSERIAL"
		case column.Serial:
			part = quotedName(column.Name) + " SERIAL"
		case column.Default != "":
			part += " DEFAULT " + column.Default
		}
		if !column.Nullable {
			part += " NOT NULL"
		}
		parts = append(parts, part)
	}
	if len(t.PrimaryKey) > 0 {
		parts = append(parts, "PRIMARY KEY ("+quotedNames(t.PrimaryKey)+")")
	}
	for _, key := range t.Unique {
		parts = append(parts, "UNIQUE ("+quotedNames(key)+")")
	}
	for _, check := range t.Checks {
		what := quotedName(check.Null) + " IS NULL"
		if check.NotNull != "" {
			what = quotedName(check.NotNull) + " IS NOT NULL"
		}
		parts = append(parts, "CHECK (NOT "+quotedName(check.WhenTrue)+" OR "+what+")")
	}
	return parts
}

func (o *Official) inserts(t testing.TB) (script []string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(o.Rows)) {
		table := o.Schema.Tables[name]
		for _, row := range o.Rows[name] {
			var columns, values []string
			for _, column := range table.Columns {
				value, literal := row[column.Name], "NULL"
				switch {
				case value == nil:
				case column.Type == "bytea":
					raw, err := base64.StdEncoding.DecodeString(*value)
					if err != nil {
						t.Fatal(err)
					}
					literal = `'\x` + hex.EncodeToString(raw) + "'"
				default:
					literal = quotedText(*value)
				}
				columns, values = append(columns, column.Name), append(values, literal)
			}
			script = append(script, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", quotedName(name), quotedNames(columns), strings.Join(values, ", ")))
		}
		for _, column := range table.Columns {
			if column.Serial {
				script = append(script, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%q', '%s'), (SELECT max(%[2]q) FROM %[1]q))`, name, column.Name))
			}
		}
	}
	return script
}

// references come after the rows, which refer to each other in circles.
func (o *Official) references() (script []string) {
	for _, name := range slices.Sorted(maps.Keys(o.Schema.Tables)) {
		for _, reference := range o.Schema.Tables[name].References {
			script = append(script, fmt.Sprintf("ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES %s (%s)", quotedName(name),
				quotedNames(reference.Columns), quotedName(reference.Table), quotedNames(reference.To)))
		}
	}
	return script
}
