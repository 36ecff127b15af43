export * from './gen/sluice/config/v1/config_pb.js';
