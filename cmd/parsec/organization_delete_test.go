package main

import (
	"encoding/json"
	"strings"
	"testing"

	"parsec-server/pkg/client"
)

// TestOrganizationDelete deletes organizations of both generations, and one that was never
// bootstrapped. Nothing is deleted of one that is open, and the name is free afterwards.
func TestOrganizationDelete(t *testing.T) {
	s := newShell(t)
	url, _ := s.createForBoth("Two")
	s.succeed(bootstrapArguments(url)...)
	_, url3 := s.createForBoth("Three")
	s.succeed(bootstrapArguments(url3)...)
	s.create("Bare")
	s.create("Kept")
	for _, name := range []string{"Two", "Three", "Bare"} {
		if _, _, err := s.run("organization", "delete", name, "--yes"); err == nil || !strings.Contains(err.Error(), "`parsec organization expire "+name+"`") {
			t.Errorf("%s is open: %v", name, err)
		}
		if got := s.succeed("organization", "expire", name); !strings.HasPrefix(got, "Organization "+name+" is expired: nobody can connect\n") {
			t.Errorf("printed %q", got)
		}
		// Nobody answers.
		if _, stderr, err := s.run("organization", "delete", name); err == nil || !strings.Contains(stderr, "Write "+name+" again to delete it") {
			t.Errorf("%s is not confirmed: %q, %v", name, stderr, err)
		}
		if got := s.succeed("organization", "delete", name, "--yes"); got != "Organization "+name+" deleted.\n" {
			t.Errorf("printed %q", got)
		}
		if _, _, err := s.run("organization", "status", name); err == nil || !strings.Contains(err.Error(), "There is no organization "+name) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	var left []client.OrganizationOverview
	if err := json.Unmarshal([]byte(s.succeed("organization", "list", "--json")), &left); err != nil || len(left) != 1 || left[0].ID != "Kept" {
		t.Errorf("%+v, %v", left, err)
	}
	// A client of the other generation takes the name.
	_, url3 = s.createForBoth("Two")
	s.succeed(bootstrapArguments(url3)...)
	if list := s.succeed("organization", "list"); !strings.Contains(list, "Two") || !strings.Contains(list, "not bootstrapped") {
		t.Errorf("printed %s", list)
	}
	if found := s.succeed("organization", "find-users", "ALICE@example.com"); !strings.Contains(found, "Two") || strings.Contains(found, "Three") {
		t.Errorf("printed %s", found)
	}
	if _, _, err := s.run("organization", "find-users", "nobody@example.com"); err == nil {
		t.Error("nobody is found")
	}
	if _, _, err := s.run("organization", "bootstrap-link", "Two"); err == nil || !strings.Contains(err.Error(), "bootstrapped already") {
		t.Errorf("the link of an organization that is bootstrapped: %v", err)
	}
	url, url3 = s.createForBoth("Again")
	if again := s.succeed("organization", "bootstrap-link", "Again"); !strings.Contains(again, url+"\n") || !strings.Contains(again, url3+"\n") {
		t.Errorf("printed %s", again)
	}
}

// TestTermsOfService sets them, shows them, and takes them away.
func TestTermsOfService(t *testing.T) {
	s := newShell(t)
	s.create("Acme")
	got := s.succeed("organization", "update", "Acme", "--tos", "fr:https://example.com/cgu", "--tos", "en:https://example.com/terms")
	if !strings.Contains(got, "  terms of service:\n    en: https://example.com/terms\n    fr: https://example.com/cgu\n") {
		t.Errorf("printed %s", got)
	}
	if got := s.succeed("organization", "update", "Acme", "--no-tos"); strings.Contains(got, "terms") {
		t.Errorf("printed %s", got)
	}
	for _, wrong := range [][]string{{"--tos", "fr"}, {"--tos", "fr:ftp://example.com"}, {"--tos", "a:http://x", "--tos", "a:http://y"}, {"--tos", "a:http://x", "--no-tos"}} {
		if _, _, err := s.run(append([]string{"organization", "update", "Acme"}, wrong...)...); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
