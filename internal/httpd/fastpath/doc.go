// Package fastpath answers plain downloads without net/http, whose header maps and buffers cost more than the rest of a
// small download. It stands between a listener and an http.Server.
//
// One goroutine for each connection reads the head of a request into a buffer. If the request is plain, as parse
// defines it, and its answer is 200, 206 or 304, an httpd.Responder writes it as net/http would have written it. In all
// other cases the connection goes to the http.Server, with every byte that was read and not answered, and stays there:
// when a request is not plain, or when the decision about it is anything but a file. A decision goes with the
// connection, and the handler answers by it, so no request is decided twice.
//
// The rules of a download are not here: both sides take them from httpd and httpd/download.
package fastpath
