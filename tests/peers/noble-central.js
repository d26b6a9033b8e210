// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A central made of somebody else's stack: noble on an HCI user channel. It looks for a peer by its name, connects, and works
 * through the heart-rate and vendor services of README.md.
 *
 * The adapter must be down: the user channel wants it for itself.
 *
 * Output: one event a line, a word followed by key=value (see README.md). "done" is printed when all went well; then it ends.
 */
'use strict';

const { parseArgs } = require('node:util');

const OPTIONS = {
	device: { type: 'string', default: '0' },
	name: { type: 'string', default: 'Heart Rate' },
	beats: { type: 'string', default: '3' },
	flood: { type: 'string', default: '100' },
	sensor: { type: 'string', default: '' },
	help: { type: 'boolean', default: false },
};

const USAGE = `usage: noble-central.js [options]
  --device N      take hciN (default 0); it must be down
  --name NAME     of the peer to look for (default "Heart Rate")
  --beats N       heart-rate notifications to wait for (default 3)
  --flood N       notifications to ask for in one go (default 100)
  --sensor UUID   only read this characteristic, and be notified of it`;

const vendor = (number) => `a10b${number}7c1d4e2a9f365b0e8d24c1f7`;

const { values: options } = parseArgs({ options: OPTIONS });
if (options.help) {
	console.log(USAGE);
	process.exit(0);
}

process.env.HCI_CHANNEL_USER = '1';
process.env.NOBLE_HCI_DEVICE_ID = options.device;
const noble = require('@stoprocent/noble').withBindings('hci');

function log(event, fields = {}) {
	const words = Object.entries(fields).map(([key, value]) => ` ${key}=${Buffer.isBuffer(value) ? value.toString('hex') : value}`);
	console.log(event + words.join(''));
}

async function find() {
	const found = new Promise((resolve) => {
		noble.on('discover', (peer) => {
			if (peer.advertisement.localName === options.name)
				resolve(peer);
		});
	});
	await noble.startScanningAsync([], true);
	const peer = await found;
	await noble.stopScanningAsync();
	log('found', { address: peer.address, rssi: peer.rssi, services: peer.advertisement.serviceUuids.join(',') });
	return peer;
}

// The next N notifications or indications; start() makes the peer send them, if it does not by itself.
async function take(char, count, start) {
	if (!count)
		return [];
	const values = [];
	const all = new Promise((resolve) => {
		char.on('data', (value) => {
			values.push(value);
			if (values.length === count)
				resolve();
		});
	});
	await char.subscribeAsync();
	if (start)
		await start();
	await all;
	await char.unsubscribeAsync();
	return values;
}

function u16(value) {
	const bytes = Buffer.alloc(2);
	bytes.writeUInt16LE(value);
	return bytes;
}

async function work(chars) {
	const [long, , echo, flood] = [1, 2, 3, 4].map((i) => chars.get(vendor(`000${i}`)));

	log('read', { char: '2a38', value: await chars.get('2a38').readAsync() });
	const longer = Buffer.from(Array.from({ length: 100 }, (_, i) => 255 - i));
	await long.writeAsync(longer, false);
	log('written', { same: longer.equals(await long.readAsync()) });
	log('echo', { value: (await take(echo, 1, () => echo.writeAsync(Buffer.from('noble'), false)))[0] });
	for (const value of await take(chars.get('2a37'), Number(options.beats)))
		log('beat', { value });
	const count = Number(options.flood);
	const values = await take(flood, count, () => flood.writeAsync(u16(count), false));
	log('flooded', { count: values.length, ordered: values.every((v, i) => v.readUInt32LE(0) === i) });
}

async function sensor(char) {
	log('read', { char: char.uuid, value: await char.readAsync() });
	for (const value of await take(char, Number(options.beats)))
		log('notified', { char: char.uuid, value });
}

async function main() {
	await noble.waitForPoweredOnAsync();
	log('ready', { address: noble.address, device: options.device });
	const peer = await find();
	const gone = new Promise((resolve) => peer.once('disconnect', resolve));
	await peer.connectAsync();
	log('connected', { address: peer.address, mtu: peer.mtu });
	const { characteristics } = await peer.discoverAllServicesAndCharacteristicsAsync();
	const chars = new Map(characteristics.map((c) => [c.uuid, c]));
	await (options.sensor ? sensor(chars.get(options.sensor)) : work(chars));
	await peer.disconnectAsync();
	await gone;
	log('done');
	process.exit(0);
}

process.on('SIGTERM', () => process.exit(0));
main().catch((error) => {
	log('failed', { what: 'central', error: error.message.replaceAll(' ', '_') });
	process.exit(1);
});
