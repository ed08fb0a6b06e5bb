package server

import (
	_ "embed"
	"net/http"
	"strconv"
)

//go:embed pages/home.html
var homePage []byte

//go:embed pages/notfound.html
var notFoundPage []byte

//go:embed pages/style.css
var style []byte

func home(w http.ResponseWriter, _ *http.Request) {
	servePage(w, http.StatusOK, "text/html; charset=utf-8", homePage)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	servePage(w, http.StatusNotFound, "text/html; charset=utf-8", notFoundPage)
}

func styleSheet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	servePage(w, http.StatusOK, "text/css; charset=utf-8", style)
}

func servePage(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a reader that is gone needs no page
}
