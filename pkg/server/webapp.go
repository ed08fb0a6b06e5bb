package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
)

// Where the web application is served (docs/protocol/v5/transport.md §8). The path of
// a file below assets or custom changes with its content.
const (
	webAppRoute   = "/client/"
	webAppAssets  = "assets/"
	webAppCustom  = "custom/"
	webAppIndex   = "index.html"
	webAppOpening = webAppRoute + "webRedirect?webRedirectUrl="

	// cacheForever is of what never changes, cacheChecked of what browsers ask about
	// each time: a page that they keep names files of the release before.
	cacheForever = "max-age=31536000, public, immutable"
	cacheChecked = "no-cache"
	// maxHashedBytes bounds the files whose ETag is made of their content.
	maxHashedBytes = 1 << 20
)

// webAppTypes are those of the files of web applications, whatever tables the system
// has.
var webAppTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".mjs": "text/javascript; charset=utf-8", ".otf": "font/otf", ".pdf": "application/pdf",
	".png": "image/png", ".svg": "image/svg+xml", ".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
	".webmanifest": "application/manifest+json", ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
}

// webApp serves the files of a folder, which may be replaced meanwhile.
type webApp struct{ folder string }

// webAppRoutes adds the routes of the web application. They need no database.
func (s *Server) webAppRoutes(mux *http.ServeMux) {
	app := webApp{s.options.WebApp}
	if page, err := os.OpenInRoot(app.folder, webAppIndex); err != nil {
		s.logger.Warn("the folder of the web application has no page", "error", err)
	} else {
		_ = page.Close()
	}
	mux.HandleFunc("/{$}", readable(toWebApp))
	mux.HandleFunc("/client", readable(toWebApp))
	mux.HandleFunc(webAppRoute+"{path...}", readable(app.serve))
}

// serve answers with a file, or with the page of the application for a path that is
// none: the application knows its own paths.
func (a webApp) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		return
	}
	name := r.PathValue("path")
	// A page in the place of a script would be taken for one, and in that of a logo for
	// a logo.
	immutable := strings.HasPrefix(name+"/", webAppAssets) || strings.HasPrefix(name+"/", webAppCustom)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if immutable {
		w.Header().Add("Vary", "Accept-Encoding")
		if prefers(r.Header, "Accept-Encoding", "br") && a.serveFile(w, r, name, ".br", cacheForever) {
			return
		}
		if !a.serveFile(w, r, name, "", cacheForever) {
			refuseFile(w)
		}
		return
	}
	if !a.serveFile(w, r, name, "", cacheChecked) && !a.serveFile(w, r, webAppIndex, "", cacheChecked) {
		refuseFile(w)
	}
}

// refuseFile keeps no answer from becoming another when the file comes.
func refuseFile(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "404 page not found", http.StatusNotFound)
}

// serveFile answers with a file, in an encoding that its name ends with, "" for none.
// It returns false, and has answered nothing, if there is no such file in the folder.
func (a webApp) serveFile(w http.ResponseWriter, r *http.Request, name, encoding, cache string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	// The folder is opened each time: a new one may have its name.
	file, err := os.OpenInRoot(a.folder, name+encoding)
	if err != nil {
		return false
	}
	defer file.Close()
	information, err := file.Stat()
	if err != nil || !information.Mode().IsRegular() {
		return false
	}
	tag, err := tagOf(file, information)
	if err != nil {
		return false
	}
	header := w.Header()
	header.Set("Cache-Control", cache)
	header.Set("Content-Type", webAppType(name))
	header.Set("ETag", tag)
	if encoding != "" {
		header.Set("Content-Encoding", strings.TrimPrefix(encoding, "."))
	}
	http.ServeContent(w, r, "", information.ModTime(), file)
	return true
}

// tagOf returns the ETag of a file, and leaves it at its beginning. Images of
// containers give all files of all releases one date, and the pages of two releases
// have one length: so the content of small ones counts.
func tagOf(file *os.File, information fs.FileInfo) (string, error) {
	if information.Size() > maxHashedBytes {
		return fmt.Sprintf(`"%x-%x"`, information.ModTime().UnixNano(), information.Size()), nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, maxHashedBytes)); err != nil {
		return "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return `"` + hex.EncodeToString(hash.Sum(nil))[:32] + `"`, nil
}

func webAppType(name string) string {
	extension := strings.ToLower(path.Ext(name))
	if known := webAppTypes[extension]; known != "" {
		return known
	}
	if known := mime.TypeByExtension(extension); known != "" {
		return known
	}
	return "application/octet-stream"
}

// toWebApp sends to the web application.
func toWebApp(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		return
	}
	w.Header().Set("Location", webAppRoute)
	w.WriteHeader(http.StatusMovedPermanently)
}

var pathKept = strings.NewReplacer("+", "%20", "%2F", "/")

// webAppTarget returns where the web application asks with what a link is to be opened,
// at the name by which the client reached the server (docs/protocol/v5/transport.md §7).
func (s *Server) webAppTarget(r *http.Request, target string) (string, error) {
	address, err := s.reachedAddress(r)
	if err != nil {
		return "", err
	}
	return address.HTTPOrigin() + webAppOpening + pathKept.Replace(url.QueryEscape(target)), nil
}
