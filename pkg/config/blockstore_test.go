package config

import (
	"reflect"
	"strings"
	"testing"
)

var (
	memoryNode     = Blockstore{Kind: BlockstoreMemory}
	postgreSQLNode = Blockstore{Kind: BlockstorePostgreSQL}
)

func s3Node(endpoint, region, bucket, key, secret string) Blockstore {
	return Blockstore{Kind: BlockstoreS3, S3: S3{endpoint, region, bucket, NewSecret(key), NewSecret(secret)}}
}

func swiftNode(authURL string) Blockstore {
	return Blockstore{Kind: BlockstoreSwift, Swift: Swift{authURL, "t", "c", "u", NewSecret("p")}}
}

func folderNode(path string) Blockstore { return Blockstore{Kind: BlockstoreFolder, Folder: path} }

func raid(kind BlockstoreKind, nodes ...Blockstore) Blockstore {
	return Blockstore{Kind: kind, Nodes: nodes}
}

// blockstoreRows are those of the table in docs/protocol/configuration.md §4,
// column v2.x: the good ones, then the wrong ones.
var blockstoreRows = []struct {
	given []string
	want  Blockstore
}{
	{[]string{"MOCKED"}, memoryNode},
	{[]string{"mocked"}, memoryNode},
	{[]string{"PostgreSql"}, postgreSQLNode},
	{[]string{"s3:::::"}, s3Node("", "", "", "", "")},
	{[]string{"s3::eu:b:k:s"}, s3Node("", "eu", "b", "k", "s")},
	{[]string{"S3::eu:b:k:s"}, s3Node("", "eu", "b", "k", "s")},
	{[]string{"s3:foo.com:eu:b:k:s"}, s3Node("https://foo.com", "eu", "b", "k", "s")},
	{[]string{`s3:foo.com\:9000:eu:b:k:s`}, s3Node("https://foo.com:9000", "eu", "b", "k", "s")},
	{[]string{`s3:https\://foo.com:eu:b:k:s`}, s3Node("https://foo.com", "eu", "b", "k", "s")},
	{[]string{`s3:http\://foo.com\:9000:eu:b:k:s`}, s3Node("http://foo.com:9000", "eu", "b", "k", "s")},
	{[]string{`s3:HTTP\://foo.com:eu:b:k:s`}, s3Node("https://HTTP://foo.com", "eu", "b", "k", "s")},
	{[]string{`s3:ftp\://foo.com:eu:b:k:s`}, s3Node("https://ftp://foo.com", "eu", "b", "k", "s")},
	{[]string{`s3::eu:b:k:a\:b`}, s3Node("", "eu", "b", "k", "a:b")},
	{[]string{`s3::eu:b:k:a\\`}, s3Node("", "eu", "b", "k", `a\`)},
	{[]string{`s3::eu:b:k:a\b`}, s3Node("", "eu", "b", "k", `a\b`)},
	{[]string{`s3::eu:b:k:a\`}, s3Node("", "eu", "b", "k", `a\`)},
	{[]string{"s3::eu:b:k:a b"}, s3Node("", "eu", "b", "k", "a b")},
	{[]string{"swift:auth.com:t:c:u:p"}, swiftNode("https://auth.com")},
	{[]string{`swift:https\://auth.com/v1:t:c:u:p`}, swiftNode("https://auth.com/v1")},
	{[]string{"swift::t:c:u:p"}, swiftNode("")},
	{[]string{"file:/var/lib/parsec/blocks"}, folderNode("/var/lib/parsec/blocks")},
	{[]string{"FILE:blocks"}, folderNode("blocks")},
	{[]string{`file:C\:\a\\b c`}, folderNode(`C:\a\b c`)},
	{[]string{"RAID1:0:file:/a", "RAID1:1:file:/b"}, raid(BlockstoreRAID1, folderNode("/a"), folderNode("/b"))},
	{[]string{"RAID0:0:MOCKED", "RAID0:1:POSTGRESQL"}, raid(BlockstoreRAID0, memoryNode, postgreSQLNode)},
	{[]string{"raid0:0:mocked", "raid0:1:s3::r:b:k:s"}, raid(BlockstoreRAID0, memoryNode, s3Node("", "r", "b", "k", "s"))},
	{[]string{"RAID1:1:MOCKED", "RAID1:0:POSTGRESQL"}, raid(BlockstoreRAID1, postgreSQLNode, memoryNode)},
	{[]string{"RAID1:0:MOCKED"}, raid(BlockstoreRAID1, memoryNode)},
	{[]string{"RAID5:0:MOCKED", "RAID5:1:MOCKED"}, raid(BlockstoreRAID5, memoryNode, memoryNode)},
	{[]string{"RAID0:00:MOCKED", "RAID0: +1 :MOCKED"}, raid(BlockstoreRAID0, memoryNode, memoryNode)},
}

const (
	s3Form     = "Invalid S3 config, must be `s3:[<endpoint_url>]:<region>:<bucket>:<key>:<secret>`"
	swiftForm  = "Invalid SWIFT config, must be `swift:<auth_url>:<tenant>:<container>:<user>:<password>`"
	escaped    = ". A colon in a part is written `\\:`"
	folderForm = "Invalid file config, must be `file:<folder>`, with a colon of the folder written `\\:`"
	onlyRAID   = "Multiple blockstore configs only available for RAID mode"
)

var wrongBlockstoreRows = []struct {
	given []string
	want  string
}{
	{[]string{"postgres"}, "Invalid blockstore type `postgres`, did you mean POSTGRESQL?"},
	{[]string{""}, "Invalid blockstore type ``"},
	{[]string{" MOCKED"}, "Invalid blockstore type ` MOCKED`, did you mean MOCKED?"},
	{[]string{"MOCKED:"}, "Invalid blockstore type `MOCKED`"},
	{[]string{"s3"}, s3Form + ": there are 1 parts and not 6" + escaped},
	{[]string{"s3:"}, s3Form + ": there are 2 parts and not 6" + escaped},
	{[]string{"s3:https://foo.com:eu:b:k:s"}, s3Form + escaped + ", so that the URL is `https\\://foo.com`"},
	{[]string{"s3:https://foo.com:b:k:s"}, s3Form + escaped + ", so that the URL is `https\\://foo.com`"},
	{[]string{"s3:http://foo.com:9000:eu:b:k:s"}, s3Form + escaped + ", so that the URL is `http\\://foo.com\\:9000`"},
	{[]string{"swift:http://me@foo.com:8080:t:c:u:p"}, swiftForm + escaped + ", so that the URL is `http\\://********@foo.com\\:8080`"},
	{[]string{"s3:https:"}, s3Form + ": there are 3 parts and not 6" + escaped},
	{[]string{"s3::eu:b:k:s:extra"}, s3Form + ": there are 7 parts and not 6" + escaped},
	{[]string{"swift:a:t:c:u"}, swiftForm + ": there are 5 parts and not 6" + escaped},
	{[]string{"file"}, folderForm},
	{[]string{"file:"}, folderForm},
	{[]string{"file:/a:b"}, folderForm},
	{[]string{"RAID1:0:MOCKED", "raid1:1:MOCKED"}, "Multiple blockstore config with different types: RAID1/raid1"},
	{[]string{"RAID0:0:MOCKED", "RAID1:1:MOCKED"}, "Multiple blockstore config with different types: RAID0/RAID1"},
	{[]string{"RAID0:0:MOCKED", "MOCKED"}, "Multiple blockstore config with different types: RAID0/MOCKED"},
	{[]string{"MOCKED", "MOCKED"}, onlyRAID},
	{[]string{"MOCKED", "POSTGRESQL"}, onlyRAID},
	{[]string{"RAID0:1:MOCKED", "RAID0:2:MOCKED"}, "Missing node index `0` in RAID config"},
	{[]string{"RAID0:0:MOCKED", "RAID0:2:MOCKED"}, "Missing node index `1` in RAID config"},
	{[]string{"RAID0:-1:MOCKED"}, "Missing node index `0` in RAID config"},
	{[]string{"RAID0:0:MOCKED", "RAID0:0:MOCKED"}, "Multiple configuration for node index `0` in RAID config"},
	{[]string{"RAID0:a:MOCKED"}, "Invalid node index `a` (must be integer)"},
	{[]string{"RAID0::MOCKED"}, "Invalid node index `` (must be integer)"},
	{[]string{"RAID0:0.0:MOCKED"}, "Invalid node index `0.0` (must be integer)"},
	{[]string{"RAID0"}, "Invalid blockstore type `RAID0`"},
	{[]string{"RAID0:0"}, "Invalid blockstore type `RAID0`"},
	{[]string{"RAID0:0:"}, "Invalid blockstore type ``"},
	{[]string{"RAID2:0:MOCKED"}, "Invalid blockstore type `RAID2`, did you mean RAID0?"},
	{[]string{"RAID10:0:MOCKED"}, "Invalid blockstore type `RAID10`, did you mean RAID0?"},
	{[]string{"RAID0:0:RAID1:0:MOCKED"}, "Invalid blockstore type `RAID1`"},
	{[]string{"RAID1:0:partial_create_ok:MOCKED"}, "Invalid blockstore type `partial_create_ok`"},
}

func TestParseBlockstore(t *testing.T) {
	for _, row := range blockstoreRows {
		t.Run(strings.Join(row.given, " "), func(t *testing.T) {
			got, err := ParseBlockstore(row.given)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
	for _, row := range wrongBlockstoreRows {
		t.Run(strings.Join(row.given, " "), func(t *testing.T) {
			got, err := ParseBlockstore(row.given)
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			if err.Error() != row.want {
				t.Errorf("got %q, want %q", err, row.want)
			}
		})
	}
}

func TestBlockstoreString(t *testing.T) {
	for _, row := range []struct {
		given []string
		want  string
	}{
		{[]string{"mocked"}, "MOCKED"},
		{[]string{"s3:::::"}, "s3:::::"},
		{[]string{`s3:me\:pass@foo.com\:9000:eu:b:AKIA:a\:b`}, `s3:https\://********@foo.com\:9000:eu:b:********:********`},
		{[]string{`swift:auth.com:t:c:u:hunter2`}, `swift:https\://auth.com:t:c:u:********`},
		{[]string{`FILE:/a b/c\:d`}, `file:/a b/c\:d`},
		{[]string{"raid1:1:s3::r:b:k:s", "raid1:0:postgresql"}, "RAID1:0:POSTGRESQL RAID1:1:s3::r:b:********:********"},
	} {
		store, err := ParseBlockstore(row.given)
		if err != nil {
			t.Fatalf("%q: %v", row.given, err)
		}
		if got := store.String(); got != row.want {
			t.Errorf("%q: got %s, want %s", row.given, got, row.want)
		}
	}
}

func TestBlockstoreUses(t *testing.T) {
	store := raid(BlockstoreRAID1, memoryNode, postgreSQLNode)
	for kind, want := range map[BlockstoreKind]bool{
		BlockstoreRAID1: true, BlockstorePostgreSQL: true, BlockstoreMemory: true, BlockstoreS3: false, BlockstoreRAID0: false,
	} {
		if got := store.Uses(kind); got != want {
			t.Errorf("Uses(%s) = %t", kind, got)
		}
	}
}

// FuzzParseBlockstore reads one occurrence a line. What is printed must mean
// the same store, but for its secrets.
func FuzzParseBlockstore(f *testing.F) {
	for _, row := range blockstoreRows {
		f.Add(strings.Join(row.given, "\n"))
	}
	for _, row := range wrongBlockstoreRows {
		f.Add(strings.Join(row.given, "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		given := strings.Split(text, "\n")
		store, err := ParseBlockstore(given)
		if err != nil {
			return
		}
		if len(store.Nodes) > 0 && len(store.Nodes) != len(given) {
			t.Fatalf("%d nodes of %d texts", len(store.Nodes), len(given))
		}
		for _, node := range append(store.Nodes, store) {
			for _, address := range []string{node.S3.Endpoint, node.Swift.AuthURL} {
				if address != "" && !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
					t.Fatalf("address %q", address)
				}
			}
		}
		again, err := ParseBlockstore(store.maskedTexts())
		if err != nil {
			t.Fatalf("%s: %v", store, err)
		}
		if again.String() != store.String() {
			t.Fatalf("%s reads as %s", store, again)
		}
	})
}
