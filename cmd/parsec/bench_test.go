package main

import (
	"encoding/json"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

func TestBench(t *testing.T) {
	s := newShell(t)
	text := s.succeed("bench", "--workload", "ping", "--connections", "2", "--duration", "300ms", "--source", "127.0.0.1,127.0.0.2")
	if !strings.HasPrefix(text, "Workload    ping, API 3, 2 connections\n") || !strings.Contains(text, "Errors      none\n") {
		t.Errorf("printed\n%s", text)
	}
	var report struct {
		Workload   string `json:"workload"`
		API        int    `json:"api"`
		Size       int    `json:"size"`
		Operations int    `json:"operations"`
	}
	text = s.succeed("bench", "--workload", "vlob-create", "--duration", "300ms", "--size", "7", "--api", "2", "--shared-realm", "--json")
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if report.Workload != "vlob-create" || report.API != 2 || report.Size != 7 || report.Operations == 0 {
		t.Errorf("printed %s", text)
	}
}

func TestBenchOfParsec3(t *testing.T) {
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	s := &shell{t, server.Address, map[string]string{
		"PARSEC_ADDR":                 server.Address.String(),
		"PARSEC_ADMINISTRATION_TOKEN": testkit.AdministrationToken,
	}}
	text := s.succeed("bench", "--workload", "certificate-get", "--api", "5", "--connections", "2", "--duration", "300ms")
	if !strings.HasPrefix(text, "Workload    certificate-get, API 5, 2 connections\n") || !strings.Contains(text, "Errors      none\n") {
		t.Errorf("printed\n%s", text)
	}
}

func TestBenchRefusals(t *testing.T) {
	for want, arguments := range map[string][]string{
		"no workload \"dance\", but ping":   {"--workload", "dance"},
		"the API must be 1, 2, 3 or 5":      {"--api", "4"},
		"no workload \"connect\"":           {"--api", "5", "--workload", "connect"},
		"number of connections":             {"--connections", "-1"},
		"Invalid value for '--source'":      {"--source", "here"},
		"Invalid value for '--addr'":        {"--addr", "http://here"},
		"refused the administration token":  {"--administration-token", "wrong"},
		"Got unexpected extra argument (x)": {"x"},
	} {
		stdout, _, err := newShell(t).run(append([]string{"bench"}, arguments...)...)
		if err == nil || !strings.Contains(err.Error(), want) || stdout != "" {
			t.Errorf("%s: error %v, printed %q", want, err, stdout)
		}
	}
}
