package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// BlockstoreKind names a kind of block storage as the start-up line does.
type BlockstoreKind string

// The kinds of block storage (docs/protocol/blockstore.md).
const (
	BlockstoreMemory     BlockstoreKind = "MOCKED"
	BlockstorePostgreSQL BlockstoreKind = "POSTGRESQL"
	BlockstoreS3         BlockstoreKind = "S3"
	BlockstoreSwift      BlockstoreKind = "SWIFT"
	BlockstoreFolder     BlockstoreKind = "FILE"
	BlockstoreRAID0      BlockstoreKind = "RAID0"
	BlockstoreRAID1      BlockstoreKind = "RAID1"
	BlockstoreRAID5      BlockstoreKind = "RAID5"
)

// Blockstore is where blocks are kept. S3, Swift and Folder are set for their
// kinds; Nodes, for the RAID kinds, are in the order of their indexes and never
// RAID themselves.
type Blockstore struct {
	Kind  BlockstoreKind
	S3    S3
	Swift Swift
	// Folder is a path, never empty.
	Folder string
	Nodes  []Blockstore
}

// S3 is a bucket. Any part may be empty; an empty Endpoint is AWS, any other
// starts with http:// or https://.
type S3 struct {
	Endpoint string
	Region   string
	Bucket   string
	Key      Secret
	Secret   Secret
}

// Swift is a container. Any part may be empty; an AuthURL that is not starts
// with http:// or https://.
type Swift struct {
	AuthURL   string
	Tenant    string
	Container string
	User      string
	Password  Secret
}

const (
	partSeparator = ':'
	partEscape    = '\\'
	storeParts    = 6
	folderParts   = 2
)

var (
	errS3Form    = messagef("Invalid S3 config, must be `s3:[<endpoint_url>]:<region>:<bucket>:<key>:<secret>`")
	errSwiftForm = messagef("Invalid SWIFT config, must be `swift:<auth_url>:<tenant>:<container>:<user>:<password>`")
	// The official server has no such form.
	errFolderForm = messagef("Invalid file config, must be `file:<folder>`, with a colon of the folder written `\\:`")
	errNotRAID    = messagef("Multiple blockstore configs only available for RAID mode")
)

// ParseBlockstore reads the occurrences of --blockstore, one text each
// (docs/protocol/configuration.md §4). Errors are the official messages.
func ParseBlockstore(texts []string) (Blockstore, error) {
	if len(texts) == 0 {
		return Blockstore{}, messagef("Missing blockstore config")
	}
	keyword, _, _ := strings.Cut(texts[0], string(partSeparator))
	kind, isRAID := parseRAIDKind(keyword)
	if !isRAID {
		if len(texts) > 1 {
			return Blockstore{}, errNotRAID
		}
		return parseSimpleBlockstore(texts[0])
	}
	nodes := make(map[int]Blockstore, len(texts))
	for _, text := range texts {
		other, rest, _ := strings.Cut(text, string(partSeparator))
		if other != keyword {
			return Blockstore{}, messagef("Multiple blockstore config with different types: %s/%s", keyword, other)
		}
		index, inner, found := strings.Cut(rest, string(partSeparator))
		if !found {
			return Blockstore{}, invalidBlockstoreType(keyword)
		}
		number, err := strconv.Atoi(strings.TrimSpace(index))
		if err != nil {
			return Blockstore{}, messagef("Invalid node index `%s` (must be integer)", index)
		}
		if _, taken := nodes[number]; taken {
			return Blockstore{}, messagef("Multiple configuration for node index `%d` in RAID config", number)
		}
		if nodes[number], err = parseSimpleBlockstore(inner); err != nil {
			return Blockstore{}, err
		}
	}
	store := Blockstore{Kind: kind}
	for index := range len(nodes) {
		node, found := nodes[index]
		if !found {
			return Blockstore{}, messagef("Missing node index `%d` in RAID config", index)
		}
		store.Nodes = append(store.Nodes, node)
	}
	return store, nil
}

// Type names the store in the start-up line.
func (b Blockstore) Type() string { return string(b.Kind) }

// Uses reports whether the store, or one of its nodes, is of a kind.
func (b Blockstore) Uses(kind BlockstoreKind) bool {
	return b.Kind == kind || slices.ContainsFunc(b.Nodes, func(node Blockstore) bool { return node.Uses(kind) })
}

// String returns the texts that ParseBlockstore reads, separated by spaces,
// with the keys, secrets and passwords masked.
func (b Blockstore) String() string { return strings.Join(b.maskedTexts(), " ") }

func (b Blockstore) maskedTexts() []string {
	switch b.Kind {
	case BlockstoreS3:
		return []string{joinParts("s3", maskEndpoint(b.S3.Endpoint), b.S3.Region, b.S3.Bucket, b.S3.Key.String(), b.S3.Secret.String())}
	case BlockstoreSwift:
		return []string{joinParts("swift", maskEndpoint(b.Swift.AuthURL), b.Swift.Tenant, b.Swift.Container, b.Swift.User, b.Swift.Password.String())}
	case BlockstoreFolder:
		return []string{joinParts("file", b.Folder)}
	case BlockstoreRAID0, BlockstoreRAID1, BlockstoreRAID5:
		texts := make([]string, len(b.Nodes))
		for index, node := range b.Nodes {
			texts[index] = fmt.Sprintf("%s:%d:%s", b.Kind, index, node)
		}
		return texts
	default:
		return []string{b.Type()}
	}
}

func maskEndpoint(text string) string {
	if text == "" {
		return ""
	}
	return maskUserInformation(text)
}

func parseRAIDKind(keyword string) (BlockstoreKind, bool) {
	kind := BlockstoreKind(strings.ToUpper(keyword))
	return kind, kind == BlockstoreRAID0 || kind == BlockstoreRAID1 || kind == BlockstoreRAID5
}

func parseSimpleBlockstore(text string) (Blockstore, error) {
	kind := BlockstoreKind(strings.ToUpper(text))
	if kind == BlockstoreMemory || kind == BlockstorePostgreSQL {
		return Blockstore{Kind: kind}, nil
	}
	parts := splitParts(text)
	switch BlockstoreKind(strings.ToUpper(parts[0])) {
	case BlockstoreS3:
		if err := checkParts(parts, errS3Form); err != nil {
			return Blockstore{}, err
		}
		return Blockstore{Kind: BlockstoreS3, S3: S3{
			Endpoint: completeURL(parts[1]),
			Region:   parts[2],
			Bucket:   parts[3],
			Key:      NewSecret(parts[4]),
			Secret:   NewSecret(parts[5]),
		}}, nil
	case BlockstoreSwift:
		if err := checkParts(parts, errSwiftForm); err != nil {
			return Blockstore{}, err
		}
		return Blockstore{Kind: BlockstoreSwift, Swift: Swift{
			AuthURL:   completeURL(parts[1]),
			Tenant:    parts[2],
			Container: parts[3],
			User:      parts[4],
			Password:  NewSecret(parts[5]),
		}}, nil
	case BlockstoreFolder:
		if len(parts) != folderParts || parts[1] == "" {
			return Blockstore{}, errFolderForm
		}
		return Blockstore{Kind: BlockstoreFolder, Folder: parts[1]}, nil
	default:
		return Blockstore{}, invalidBlockstoreType(parts[0])
	}
}

// checkParts wants as many parts as a form has. A URL whose colons are not escaped is
// told from the rest, and how it is written; the parts after it may be secrets.
func checkParts(parts []string, form error) error {
	scheme := strings.ToLower(parts[min(1, len(parts)-1)])
	if len(parts) > 2 && (scheme == "http" || scheme == "https") && strings.HasPrefix(parts[2], "//") {
		const anyOther = storeParts - 2
		url := parts[1] + ":" + parts[2]
		if _, err := strconv.ParseUint(parts[min(3, len(parts)-1)], 10, 16); err == nil && len(parts) > anyOther {
			url += ":" + parts[3]
		}
		return messagef("%s. A colon in a part is written `\\:`, so that the URL is `%s`", form, strings.ReplaceAll(maskUserInformation(url), ":", `\:`))
	}
	if len(parts) == storeParts {
		return nil
	}
	return messagef("%s: there are %d parts and not %d. A colon in a part is written `\\:`", form, len(parts), storeParts)
}

func invalidBlockstoreType(name string) error {
	kinds := []string{"MOCKED", "POSTGRESQL", "S3", "SWIFT", "FILE", "RAID0", "RAID1", "RAID5"}
	hint := ""
	if nearest, found := Nearest(strings.ToUpper(name), kinds); found && nearest != strings.ToUpper(name) {
		hint = ", did you mean " + nearest + "?"
	}
	return messagef("Invalid blockstore type `%s`%s", name, hint)
}

// completeURL completes a URL as the official server does since v1.14: a bare
// host, and any scheme that is not exactly http or https, is put behind https.
func completeURL(text string) string {
	if text == "" || strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
		return text
	}
	return "https://" + text
}

// splitParts cuts at each colon, except an escaped one. A backslash before
// anything but a colon or a backslash is itself.
func splitParts(text string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == partSeparator:
			parts = append(parts, part.String())
			part.Reset()
		case text[i] == partEscape && i+1 < len(text) && (text[i+1] == partSeparator || text[i+1] == partEscape):
			i++
			part.WriteByte(text[i])
		default:
			part.WriteByte(text[i])
		}
	}
	return append(parts, part.String())
}

var partEscaper = strings.NewReplacer(`\`, `\\`, `:`, `\:`)

func joinParts(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = partEscaper.Replace(part)
	}
	return strings.Join(escaped, string(partSeparator))
}
