package parsec_test

import (
	"slices"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

func TestNegotiate(t *testing.T) {
	type version [2]uint32
	for _, item := range vectors.Load[struct {
		Negotiation []struct {
			ClientSupports []version `json:"client_supports"`
			ServerSupports []version `json:"server_supports"`
			Settled        *struct {
				ServerVersion version `json:"server_version"`
				ClientVersion version `json:"client_version"`
				AnswerForm    string  `json:"answer_form"`
			}
		}
	}](t, "handshake.json").Negotiation {
		var announced []version
		for _, supported := range parsec.SupportedAPIVersions {
			announced = append(announced, version{supported.Major, supported.Minor})
		}
		if !slices.Equal(announced, item.ServerSupports) {
			t.Fatalf("server announces %v, want %v", announced, item.ServerSupports)
		}
		// A client announces the highest of its majors that the server has.
		slices.SortFunc(item.ClientSupports, func(a, b version) int { return slices.Compare(b[:], a[:]) })
		settled := false
		for _, candidate := range item.ClientSupports {
			client := parsec.APIVersion{Major: candidate[0], Minor: candidate[1]}
			server, ok := parsec.Negotiate(client)
			if !ok {
				if server != (parsec.APIVersion{}) {
					t.Errorf("%v refused with version %v", client, server)
				}
				continue
			}
			settled = true
			if item.Settled == nil {
				t.Errorf("%v settled on %v, want a refusal", client, server)
				break
			}
			if want := item.Settled; candidate != want.ClientVersion || (version{server.Major, server.Minor}) != want.ServerVersion {
				t.Errorf("%v settled on %v, want %v", client, server, want)
			}
			if signed := parsec.SignedAnswers.In(client); signed != (item.Settled.AnswerForm == "signed_answer") {
				t.Errorf("%v signs its answer = %t, want %s", client, signed, item.Settled.AnswerForm)
			}
			break
		}
		if !settled && item.Settled != nil {
			t.Errorf("%v not settled", item.ClientSupports)
		}
	}
}

func TestFeature(t *testing.T) {
	for _, item := range []struct {
		version parsec.APIVersion
		want    bool
	}{
		{parsec.APIVersion{Major: 1, Minor: 3}, false},
		{parsec.APIVersion{Major: 1, Minor: 99}, false},
		{parsec.APIVersion{Major: 2, Minor: 8}, false},
		{parsec.APIVersion{Major: 2, Minor: 9}, true},
		{parsec.APIVersion{Major: 2, Minor: 10}, true},
		{parsec.APIVersion{Major: 3, Minor: 2}, false},
		{parsec.APIVersion{Major: 3, Minor: 3}, true},
		{parsec.APIVersion{Major: 4, Minor: 9}, false},
	} {
		if got := parsec.ShamirRecovery.In(item.version); got != item.want {
			t.Errorf("%v has what came with 2.9 and 3.3 = %t, want %t", item.version, got, item.want)
		}
	}
}

func TestAPIVersionText(t *testing.T) {
	if text := (parsec.APIVersion{Major: 2, Minor: 10}).String(); text != "2.10" {
		t.Errorf("printed %s", text)
	}
}
