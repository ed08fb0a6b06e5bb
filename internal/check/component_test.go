package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// everywhere are the programs that need no component: the Go tool, the shell of every
// system, and what the tests ask whether it is there.
var everywhere = []string{"go", "sh", "docker"}

// started finds the programs that Go code starts by name.
var started = regexp.MustCompile(`(?:exec\.Command\(|exec\.CommandContext\([^,\n]+, |FindProgram\([^,\n]+, |return "env", append\(arguments, )"([^"]+)"`)

// TestProgramsAreComponents wants every program that tests start to be that of a
// component, and the tests that start it to be left out by its tag.
func TestProgramsAreComponents(t *testing.T) {
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		isTest := strings.HasSuffix(path, "_test.go")
		if err != nil || !isTest && (!strings.HasPrefix(path, root+"/internal/testkit/") || !strings.HasSuffix(path, ".go")) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		constraint, _, _ := bytes.Cut(content, []byte("package "))
		for _, match := range started.FindAllSubmatch(content, -1) {
			name := filepath.Base(string(match[1]))
			if slices.Contains(everywhere, name) {
				continue
			}
			found++
			place := slices.IndexFunc(components, func(c component) bool { return c.has(name) })
			switch {
			case place < 0:
				t.Errorf("%s starts %s, which is of no component", path, name)
			case isTest && !bytes.Contains(constraint, []byte("!"+components[place].tag)):
				t.Errorf("%s starts %s, and %s does not leave it out", path, name, components[place].tag)
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("%d programs are found: %v", found, err)
	}
}

// has reports whether a program comes with the component.
func (c component) has(name string) bool {
	return slices.ContainsFunc(slices.Concat(c.programs, c.brings), func(program string) bool { return filepath.Base(program) == name })
}

// TestBarePath has nothing but Go on the PATH: each component is left out by its tag,
// and said to be.
func TestBarePath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CI", "")
	var out bytes.Buffer
	tags, err := missingTags(t.Context(), &out, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range components {
		elsewhere := slices.ContainsFunc(c.programs, func(program string) bool {
			matches, _ := filepath.Glob(program)
			return len(matches) > 0
		})
		if elsewhere || c.variable != "" && os.Getenv(c.variable) != "" {
			continue
		}
		if !slices.Contains(tags, c.tag) || !strings.Contains(out.String(), "no "+c.name+" here") {
			t.Errorf("without %s: %q, said %s", c.name, tags, &out)
		}
	}
}
