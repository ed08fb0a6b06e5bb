//go:build !without_postgresql && !without_minio && !without_versitygw && !without_swift

package main

import (
	"fmt"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// storeText is the text of an S3 store, in a bucket of its own.
func storeText(s3 config.S3) string {
	bucket := "parsec-test-" + parsec.NewUUID().Hex()[:8]
	return fmt.Sprintf("s3:%s:%s:%s:%s:%s", strings.ReplaceAll(s3.Endpoint, ":", `\:`), s3.Region, bucket, s3.Key.Reveal(), s3.Secret.Reveal())
}

// everyStore is the text of each kind of store that is no database.
func everyStore(t *testing.T) map[string][]string {
	t.Helper()
	minio, versity := testkit.S3(t), testkit.VersityGW(t)
	swift, _ := testkit.Swift(t)
	swiftText := fmt.Sprintf("swift:%s:%s:%s:%s:%s", strings.ReplaceAll(swift.AuthURL, ":", `\:`), swift.Tenant, swift.Container, swift.User, swift.Password.Reveal())
	return map[string][]string{
		"MinIO": {storeText(minio)}, "VersityGW": {storeText(versity)}, "Swift": {swiftText}, "folder": {folderText(t)},
		"RAID0":            {"RAID0:0:" + storeText(minio), "RAID0:1:" + storeText(minio)},
		"RAID1":            {"RAID1:0:" + storeText(minio), "RAID1:1:" + storeText(versity)},
		"RAID5":            {"RAID5:0:" + storeText(minio), "RAID5:1:" + storeText(versity), "RAID5:2:POSTGRESQL"},
		"RAID5 of folders": {"RAID5:0:" + folderText(t), "RAID5:1:" + folderText(t), "RAID5:2:" + folderText(t)},
	}
}

// TestRealmDeleteOnEveryStore has the objects of realms of both generations be gone from
// each kind of store, those of others untouched.
func TestRealmDeleteOnEveryStore(t *testing.T) {
	for name, nodes := range everyStore(t) {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, nodes...)
			e.addRealm("Three", longAgo, 20, estateAlice)
			e.addRealm("Two", longAgo, 20)
			kept := []*estateRealm{e.addRealm("Three", "", 10, estateAlice), e.addRealm("Two", "", 10)}
			e.run(0, []string{"delete-due", "--json"}, `{"summary":{"realms":2,"blocks":40,"bytes":4000,"complete":true}}`)
			e.wantLeft(kept...)
		})
	}
}

// TestOrganizationDeleteOnEveryStore has servers be killed while they erase organizations
// of both generations: the objects of these are gone in the end, those of others are not.
func TestOrganizationDeleteOnEveryStore(t *testing.T) {
	for name, nodes := range everyStore(t) {
		t.Run(name, func(t *testing.T) { killWhileErasing(newEstate(t, nodes...), sized(60, 10_000), sized(2, 8)) })
	}
}
