package main

import (
	"reflect"
	"testing"

	"parsec-server/pkg/client"
	parsec3client "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

// TestServerConfig is told to clients as it is set.
func TestServerConfig(t *testing.T) {
	t.Parallel()
	bao, pad, transit := "https://bao.example", "https://pad.example", "carried"
	disabled := protocol.ServerConfigReply{
		Account: protocol.AccountDisabled, OrganizationBootstrap: protocol.BootstrapWithToken,
		OpenBao: protocol.OpenBaoConfig{Type: protocol.FeatureDisabled}, Cryptpad: protocol.CryptpadConfig{Type: protocol.FeatureDisabled},
		AdvisoryDeviceFileProtection: []string{},
	}
	for name, test := range map[string]struct {
		settings map[string][]string
		want     protocol.ServerConfigReply
	}{
		"nothing": {map[string][]string{}, disabled},
		"everything": {map[string][]string{
			"account-config": {"ENABLED_WITHOUT_VAULT"}, "spontaneous-organization-bootstrap": {"true"}, "cryptpad-server-url": {pad},
			"openbao-server-url": {bao}, "openbao-secret-mount-path": {"hidden"}, "openbao-transit-mount-path": {transit},
			"openbao-auth-pro-connect": {"pro"}, "openbao-auth-hexagone": {"hexagon"},
			"advisory-device-file-protection": {"PASSWORD+TOTP", "OPENBAO"},
		}, protocol.ServerConfigReply{
			Account: protocol.AccountEnabledWithoutVault, OrganizationBootstrap: protocol.BootstrapSpontaneous,
			OpenBao: protocol.OpenBaoConfig{
				Type: protocol.FeatureEnabled, ServerURL: &bao, TransitMountPath: &transit,
				Secret: &protocol.OpenBaoSecret{Type: protocol.OpenBaoKV2, MountPath: "hidden"},
				Auths:  []protocol.OpenBaoAuth{{ID: protocol.OpenBaoHexagone, MountPath: "hexagon"}, {ID: protocol.OpenBaoProConnect, MountPath: "pro"}},
			},
			Cryptpad:                     protocol.CryptpadConfig{Type: protocol.FeatureEnabled, ServerURL: &pad},
			AdvisoryDeviceFileProtection: []string{"PASSWORD+TOTP", "OPENBAO"},
		}},
	} {
		var arguments []config.Argument
		for option, texts := range test.settings {
			for _, text := range texts {
				arguments = append(arguments, config.Argument{Name: option, Text: text})
			}
		}
		address, err := parsec.ParseServerAddress("parsec://" + startServing(t, arguments...).address + "?no_ssl=true")
		if err != nil {
			t.Fatal(err)
		}
		reached := parsec3client.New(address, parsec3client.LatestVersion, client.Options{})
		t.Cleanup(reached.Close)
		got, err := parsec3client.Call(t.Context(), reached.Server(), protocol.ServerConfig, &protocol.ServerConfigRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
