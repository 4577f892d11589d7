// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// firstPort is above those of services that machines run.
const firstPort = 12000

// reserved are the locked files of the ports that this program was given. The kernel releases the
// locks when it ends.
var reserved struct {
	sync.Mutex

	files []*os.File
}

// FreeAddress is a loopback address for a process that is about to be started. The kernel gives its
// port to nobody who asks for any: such a one may be somebody else's before the process listens. No
// other program that uses this function gets it while this one runs.
func FreeAddress() (string, error) {
	ports := kernelsFirstPort() - firstPort
	for range 100 {
		port := firstPort + rand.IntN(ports)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		reservedNow, err := reserve(port)
		if err != nil {
			return "", fmt.Errorf("failed to reserve port %d: %w", port, err)
		}
		if !reservedNow {
			continue
		}
		if l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no port is free of 100 that were tried")
}

// kernelsFirstPort is the first of those that the kernel gives to connections, and to listeners that ask
// for any port.
func kernelsFirstPort() int {
	first := 32768 // as Linux has it by default; others begin above it
	if raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(raw), &first)
	}
	return max(first, firstPort+1000) // a range that begins early leaves few others
}

// reserve locks the file of a port, and reports whether nobody else had. Each user has a folder, whose files
// stay: a file that was removed could be locked twice.
func reserve(port int) (bool, error) {
	folder := filepath.Join(os.TempDir(), fmt.Sprintf("cloudcert-ports-%d", os.Getuid()))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return false, err
	}
	file, err := os.OpenFile(filepath.Join(folder, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return false, errors.Join(err, file.Close())
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.files = append(reserved.files, file) // one that nobody holds is closed, and unlocked
	return true, nil
}
